"""A folder that a command writes into repeatedly: stale files of earlier runs are removed, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from argus_core.common.files import write_text
from argus_core.common.folders import claim
from argus_core.errors import ArgusError, counted

LISTS = {
    "look": "argus-files.txt",
    "features": "argus-features.txt",
    "correspond": "argus-matches.txt",
    "suggest": "argus-suggested.txt",
}
"""The list of files that the last run of a kind wrote, one path a line, even if it was killed."""


class OutFolder:
    """A context that removes files of the previous run that were not written again, unless there is an error.

    ``inputs``, and files that are in no list, are never overwritten or removed. Raises ArgusError for a folder that is
    not empty and has no list; ``option`` is what to choose another one with.
    """

    def __init__(self, out: Path, inputs: Iterable[str] = (), kind: str = "look", option: str = "--out") -> None:
        self._remedy = f"choose another {option}"
        claim(out, _is_listed, "answers of an earlier call", self._remedy)
        self.out, self._file = out, out / LISTS[kind]
        paths = [Path(path) for path in inputs if "://" not in path]
        self._inputs = {place for path in paths for place in (path.absolute(), path.resolve())}
        self._written: dict[str, None] = {}
        self._earlier = _listed(self._file)
        self._ours = {path for name in LISTS.values() for path in _listed(out / name)}
        self._list: IO[str] | None = None

    def __enter__(self) -> OutFolder:
        self.out.mkdir(parents=True, exist_ok=True)
        self._list = self._file.open("a", encoding="utf-8", errors="surrogateescape")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._list is not None
        self._list.close()
        if kind is not None:
            return
        stale = [path for path in self._earlier if path not in self._written and self._remove(path)]
        write_text(self._file, "".join(f"{path}\n" for path in self._written))
        if stale:
            print(f"removed from {self.out}: {counted(len(stale), 'file')} of an earlier run", file=sys.stderr)

    def file(self, *parts: str) -> Path:
        """The path of a file to write; raises ArgusError if an input, or a file of no earlier run, has this path."""
        path = self.out.joinpath(*parts)
        inside = path.relative_to(self.out).as_posix()
        if inside in self._ours and path.is_symlink() and path.absolute() not in self._inputs:
            path.unlink()  # of an earlier run, and perhaps to an image to look at
        if path.resolve() in self._inputs:
            raise ArgusError(f"{path} is an image to look at, and would be written over; {self._remedy}")
        if inside not in self._written:
            if inside not in self._ours and path.exists():
                raise ArgusError(f"{path} is not of an earlier call, and would be written over; {self._remedy}")
            self._written[inside] = None
            assert self._list is not None
            self._list.write(f"{inside}\n")
            self._list.flush()
        return path

    def _remove(self, inside: str) -> bool:
        """Remove a file and the folders that become empty; returns whether there was a file."""
        path = self.out / inside
        root = self.out.resolve()
        if root not in path.parent.resolve().joinpath(path.name).parents:
            return False
        if path.absolute() in self._inputs or (not path.is_symlink() and path.resolve() in self._inputs):
            return False
        try:
            path.unlink()
            while (path := path.parent).resolve() != root and not any(path.iterdir()):
                path.rmdir()
        except OSError:  # it does not exist, or is a folder
            return False
        return True


def _is_listed(out: Path) -> bool:
    """Whether an earlier run wrote into this folder."""
    return any((out / name).is_file() for name in LISTS.values())


def _listed(file: Path) -> list[str]:
    """The paths in a list, without those that lead out of the folder."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except (OSError, ValueError):
        return []
    return [line for line in dict.fromkeys(lines) if line and ".." not in Path(line).parts]
