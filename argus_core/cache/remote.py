"""Shards in an object store: rows are read by ranges, those of a batch at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from argus_core.cache.shard import PositionalShard, Rows, Scratch
from argus_core.common.ranges import Range, read_ranges

BLOCK = 1 << 20
"""Bytes that are asked for, and kept on this machine, at once: about the half of an image's tokens."""


class RemoteShard(PositionalShard):
    """Rows of the shard at an address with the ``sha256`` and size that its record states.

    All shards of a cache share ``blocks``: what was fetched for the batch that is being read. What is not among them is
    fetched, or found on this machine, when it is read.
    """

    def __init__(self, path: Path, sha256: str, size: int, scratch: Scratch, blocks: dict[Range, bytes]) -> None:
        self._sha256, self._size, self._blocks = sha256, size, blocks
        super().__init__(path, scratch)

    def blocks_of(self, name: str, first: int, count: int) -> Iterator[Range]:
        """The blocks in which rows of a stored tensor lie."""
        begin, width = self._place(name)
        return self._over(begin + first * width, begin + (first + count) * width)

    def _fill(self, buffer: Rows, offset: int) -> None:
        view, end = buffer.data, offset + len(buffer)
        for block in self._over(offset, end):
            content = self._blocks.get(block) or read_ranges([block])[0]
            first, last = max(offset, block.start), min(end, block.end)
            view[first - offset : last - offset] = content[first - block.start : last - block.start]

    def _over(self, begin: int, end: int) -> Iterator[Range]:
        for start in range(begin // BLOCK * BLOCK, end, BLOCK):
            yield Range(str(self._path), self._sha256, start, min(start + BLOCK, self._size))


def fetch(blocks: dict[Range, bytes], wanted: Iterable[Range]) -> None:
    """Let ``blocks`` be those that are wanted, and no others."""
    needed = list(dict.fromkeys(wanted))
    contents = dict(zip(needed, read_ranges(needed), strict=True)) if needed else {}
    blocks.clear()
    blocks.update(contents)
