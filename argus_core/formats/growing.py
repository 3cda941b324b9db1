"""JSON files that grow and are whole after every addition."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


class GrowingJson:
    """A JSON text in which items are added between ``head`` and ``tail``, each on a line of its own.

    An addition is one write over the tail, after which the tail stands again: a reader, or a program that is killed,
    finds a valid file.
    """

    def __init__(self, path: Path, head: str, tail: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._tail, self._separator = f"\n{tail}\n".encode(), "\n"
        self._stream = path.open("wb")
        self._stream.write(head.encode() + self._tail)
        self._stream.flush()

    def add(self, items: Iterable[str]) -> None:
        """Add items, which are JSON texts."""
        text = ",\n".join(items)
        if text:
            self._stream.seek(-len(self._tail), os.SEEK_END)
            self._stream.write(f"{self._separator}{text}".encode() + self._tail)
            self._stream.flush()
            self._separator = ",\n"

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
