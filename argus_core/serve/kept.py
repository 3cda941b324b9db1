"""What was computed of images, kept for the next question about them, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Generic, Protocol, TypeVar

from argus_core.serve.refusal import Refusal


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        ...


T = TypeVar("T", bound=Sized)


class Kept(Generic[T]):
    """At most ``count`` values of together at most ``nbytes``, by key; the least recently used one goes first.

    The newest value is kept even if it is larger than ``nbytes`` alone. Safe for several threads.
    """

    def __init__(self, count: int = 32, nbytes: int = 512 << 20) -> None:
        self.count, self.nbytes = count, nbytes
        self._values: OrderedDict[str, T] = OrderedDict()
        self._held, self._lock = 0, Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def held(self) -> int:
        """Bytes of all values."""
        return self._held

    def get(self, key: str) -> T | None:
        """The value, which is now the most recently used one; None if it is gone or never was."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def all(self, keys: Sequence[str]) -> list[T]:
        """The values of all keys; raises ``Refusal`` if one is gone."""
        found = [value for value in map(self.get, keys) if value is not None]
        if len(found) < len(keys):
            raise Refusal("this photograph is not kept any more; send it again", 404)
        return found

    def put(self, key: str, value: T) -> None:
        """Keep a value, in place of an earlier one of that key."""
        with self._lock:
            self._drop(key)
            self._values[key] = value
            self._held += value.nbytes
            while len(self._values) > 1 and (len(self._values) > self.count or self._held > self.nbytes):
                self._drop(next(iter(self._values)))

    def _drop(self, key: str) -> None:
        gone = self._values.pop(key, None)
        self._held -= gone.nbytes if gone is not None else 0
