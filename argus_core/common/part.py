"""Which share of a cache's shards a process begins with, where several write one cache."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from argus_core.errors import ArgusError

_PART = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Part:
    """Part ``number`` of ``of``, counted from 1. A part also helps with the shards of others once it has none left."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ArgusError(f"there is no part {self.number}/{self.of}; parts are 1/{max(self.of, 1)} and so on")

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"

    def sort(self, shards: Sequence[int]) -> list[int]:
        """All shards in the order of this part: its own first, then those of others, from their ends."""
        others = [shard for shard in shards if not self.holds(shard)]
        return [shard for shard in shards if self.holds(shard)] + others[::-1]

    def holds(self, shard: int) -> bool:
        """Whether a shard is of this part's share."""
        return shard % self.of == self.number - 1


def parse_part(text: str) -> Part:
    """``2/8`` as a part; raises ArgusError for anything else."""
    found = _PART.fullmatch(text.strip())
    if found is None:
        raise ArgusError(f"{text!r} is no part; write NUMBER/PARTS, such as 2/8, counted from 1")
    return Part(int(found[1]), int(found[2]))


def find_part(text: str | None, environment: Mapping[str, str]) -> tuple[Part, str]:
    """The part that was asked for, else that of a SLURM array or a rank, else the whole; and where it is from.

    Raises ArgusError for a part that does not exist.
    """
    if text is not None:
        return parse_part(text), "--part"
    if "SLURM_ARRAY_TASK_ID" in environment:
        return _of_array(environment), "SLURM_ARRAY_TASK_ID"
    if {"RANK", "WORLD_SIZE"} <= environment.keys():
        rank, of = (_number(environment, name) for name in ("RANK", "WORLD_SIZE"))
        if rank >= of:
            raise ArgusError(f"RANK is {rank} of WORLD_SIZE {of}, and counts from 0; give --part NUMBER/PARTS")
        return Part(rank + 1, of), "RANK and WORLD_SIZE"
    return Part(), ""


def _of_array(environment: Mapping[str, str]) -> Part:
    task, first = _number(environment, "SLURM_ARRAY_TASK_ID"), _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
    of, step = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1), _number(environment, "SLURM_ARRAY_TASK_STEP", 1)
    if task < first or of < 1 or step < 1:
        raise ArgusError(f"SLURM_ARRAY_TASK_ID is {task} of {of} tasks from {first}; give --part NUMBER/PARTS")
    return Part((task - first) // step % of + 1, of)  # a list of tasks, such as 1,3,7, may have gaps


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d+", text):
        raise ArgusError(f"{name} is {text!r}, not a whole number; give --part NUMBER/PARTS")
    return int(text)
