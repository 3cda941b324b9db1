"""The three events of a run, told to one tracker per run folder."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from argus_board.values import Scalars, of_record
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import hookimpl


class Tracker(Protocol):
    """Where the scalars of one arena run go."""

    def write(self, head: str, scalars: Scalars) -> None:
        """Add values of one head at one step."""

    def close(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the scores of each result row and let go; a head without a row did not get to its end."""


class Following:
    """Hook functions that follow each run for which ``begin(run, config)`` gives a tracker.

    A run that ends without ``arena_finished`` is closed without results when the process exits.
    """

    def __init__(self, begin: Callable[[Path, Mapping[str, Any]], Tracker | None]) -> None:
        self._begin = begin
        self._open: dict[Path, Tracker] = {}

    @hookimpl
    def arena_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """Follow the run from now on, if there is a tracker for it."""
        tracker = self._begin(run, config)
        if tracker is not None:
            self._open[run] = tracker
            atexit.unregister(self._leave)
            atexit.register(self._leave)  # last, so that it comes before what the tracker's library does at exit

    @hookimpl
    def arena_logged(self, run: Path, record: Mapping[str, Any]) -> None:
        """Add one line of the log to the curves of its head."""
        if run in self._open:
            with self._dropped_on_failure(run) as tracker:
                tracker.write(record["head"], of_record(record))

    @hookimpl
    def arena_finished(self, run: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the results and let go of the tracker."""
        if run in self._open:
            with self._dropped_on_failure(run) as tracker:
                tracker.close(results)
            self._open.pop(run)

    @contextmanager
    def _dropped_on_failure(self, run: Path) -> Iterator[Tracker]:
        # A tracker that raised, as when its server is gone, is not asked again, not even at exit.
        try:
            yield self._open[run]
        except Exception:
            self._open.pop(run)
            raise

    def _leave(self) -> None:
        while self._open:
            with suppress(Exception):
                self._open.popitem()[1].close({})


def wanted(library: str, variables: Sequence[str]) -> bool:
    """Whether one of these variables of the environment asks for a tracker; ArgusError if its library is missing.

    Being installed is no reason to act: what leaves the machine was asked for. The extra is called as the library.
    """
    asked = [name for name in variables if os.environ.get(name)]
    if asked and find_spec(library) is None:
        raise ArgusError(f"{asked[0]} is set, but {library} is missing: pip install 'argus-perception[{library}]'")
    return bool(asked)
