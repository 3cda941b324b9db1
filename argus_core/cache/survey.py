"""What lies in the folder of a cache's shards, by one listing; and what killed writers left there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from argus_core.cache.index import is_sealed
from argus_core.cache.sidecar import settle
from argus_core.common.writers import is_gone

_SHARD_FILE = re.compile(r"(\d{5,})\.(?:(json)|(safetensors)|(\d+)\.claim|[0-9a-f]{16}\.(staged))")
_UNFINISHED = re.compile(
    r"\.(?:(?:manifest|index)\.json|(?:norm|index|basis\.[0-9a-f]{16})\.safetensors"
    r"|\d{5,}\.(?:json|safetensors|\d+\.claim))\.([0-9a-f-]+)\.\w+\.tmp"
)


@dataclass
class Survey:
    """Numbers of shards: whose sidecar is there, whose file is, the newest claim of each; and names of staged files."""

    done: set[int] = field(default_factory=set)
    placed: set[int] = field(default_factory=set)
    claims: dict[int, int] = field(default_factory=dict)
    staged: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Survey:
        """List the shards of the cache at ``path``."""
        survey = cls()
        for file in (path / "shards").iterdir():
            if found := _SHARD_FILE.fullmatch(file.name):
                survey._add(int(found[1]), file.name, *found.groups()[1:])
        return survey

    def _add(self, number: int, name: str, json: str, safetensors: str, generation: str, staged: str) -> None:
        if json:
            self.done.add(number)
        elif safetensors:
            self.placed.add(number)
        elif staged:
            self.staged.append((number, name))
        else:
            self.claims[number] = max(int(generation), self.claims.get(number, 0))


def tidy(path: Path, abandoned: Collection[str] = ()) -> None:
    """Finish and remove what killed writers left: those that ended on this machine, and the ``abandoned`` ones."""
    survey = Survey.of(path)
    for number, name in survey.staged:
        if number in survey.done:
            settle(path, number, name)
    void = survey.claims.keys() if is_sealed(path) else survey.done & survey.claims.keys()
    for number in void:
        for generation in range(survey.claims[number] + 1):
            (path / "shards" / f"{number:05d}.{generation}.claim").unlink(missing_ok=True)
    for folder in (path, path / "shards"):
        for file in folder.iterdir():
            found = _UNFINISHED.fullmatch(file.name)
            if found and (is_gone(found[1]) or found[1] in abandoned) and not file.is_symlink():
                _remove(file)


def _remove(file: Path) -> None:
    """Remove a file, or a folder, unless another process is faster."""
    if file.is_dir():
        shutil.rmtree(file, ignore_errors=True)
    else:
        file.unlink(missing_ok=True)
