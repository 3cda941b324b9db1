"""Batches that a thread makes, each while the one before it is used."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from argus_core.cache.reader import CacheSource
from argus_core.registry.loading import debugging

T = TypeVar("T")


class Ahead(Iterator[T]):
    """Gives ``items`` in their order; with ``thread`` the next one is made while the last one given is used.

    An error is raised where its item is asked for, and nothing is made after it. A context, at whose end no thread is
    left. ``waited`` is how long the user of the items waited for them, in seconds.
    """

    def __init__(self, items: Iterable[T], *, thread: bool) -> None:
        self.waited = 0.0
        self._items, self._ahead = iter(items), thread
        self._thread: ThreadPoolExecutor | None = None
        self._coming: Future[T] | None = None

    def __next__(self) -> T:
        began = time.perf_counter()
        try:
            if not self._ahead:
                return next(self._items)
            if self._coming is None:
                self._coming = self._make()
            item = self._coming.result()
            self._coming = self._make()
            return item
        finally:
            self.waited += time.perf_counter() - began

    def _make(self) -> Future[T]:
        # A thread for one item: OpenMP gives every thread that uses it helpers, for as long as the thread lives. While
        # those of a thread that rests count, there are more than cores, and the heads' own sleep after each operation:
        # on a busy machine a step of a small head then took 12 times as long.
        if self._thread is not None:
            self._thread.shutdown()
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        return self._thread.submit(next, self._items)

    def settle(self) -> None:
        """Wait until no thread is at work; there is none before another item is asked for."""
        began = time.perf_counter()
        if self._thread is not None:
            self._thread.shutdown()
        self.waited += time.perf_counter() - began

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.settle()


def reads_ahead(source: object) -> bool:
    """Whether a thread reads a source: a cache of maps, but not with ARGUS_DEBUG=1, so that debuggers show one thread.

    Batches of vectors alone are read in less time than threads take to hand them over. A backbone that runs live is
    not run beside heads: it would compete for the same cores or the same GPU, and need not be safe to call from a
    thread.
    """
    return isinstance(source, CacheSource) and source.maps and not debugging()
