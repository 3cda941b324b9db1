"""The processes of one run: one by default, several under ``torchrun``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class World:
    """This process's place among ``size`` processes, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def agree(self, flag: bool) -> bool:
        """Whether any process says ``flag``."""
        return any(self.gather(flag))

    def barrier(self) -> None:
        """Wait for every process."""
        if self.size > 1:
            dist.barrier()


def join_world(device: str | None) -> World:
    """Join the processes that ``torchrun`` started, or be alone; ``device`` defaults to a GPU where there is one."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    cuda = torch.cuda.is_available()
    chosen = torch.device(device or ("cuda" if cuda else "cpu"))
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return World(rank, size, chosen)


def leave_world(world: World) -> None:
    """Close the process group, if there is one."""
    if world.size > 1:
        dist.destroy_process_group()
