"""The processes of one run: one by default, several under ``torchrun``."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from argus_core.common.device import find_device
from argus_core.nn import computes_bf16


class Interrupted(Exception):
    """Ctrl-C arrived; the state was saved."""


@contextmanager
def interruptible(process: Distributed) -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that a step is finished before the run stops; a second one stops at once."""
    event = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if event.is_set() and process.size == 1:  # torchrun repeats the signal
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)


@dataclass(frozen=True)
class Distributed:
    """This process's place among ``size`` processes, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def precision(self) -> str:
        """The number format of a training step: ``bf16`` by autocast on GPUs that compute it, else ``fp32``."""
        return "bf16" if computes_bf16(self.device) else "fp32"

    @property
    def hardware(self) -> dict[str, str]:
        """What numbers depend on besides seed and data: type of device, model of a GPU, and precision."""
        model = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        return {"device": self.device.type, "model": model, "precision": self.precision}

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean over all processes of values by name, the same in each."""
        gathered = self.gather(values)
        return {name: sum(part[name] for part in gathered) / self.size for name in values}

    def any_process(self, flag: bool) -> bool:
        """Whether ``flag`` is set in any process."""
        return True in self.gather(flag)

    def barrier(self) -> None:
        """Wait for every process."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_processes(device: str | None) -> Iterator[Distributed]:
    """Join the processes that ``torchrun`` started, or be alone; ``device`` defaults to a GPU where there is one."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = find_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # where nccl gathers objects
        _repeat_exactly()
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Distributed(rank, size, chosen)
    finally:
        if size > 1:
            dist.destroy_process_group()


def _repeat_exactly() -> None:
    """Let a GPU compute the same bits every time, wherever it can (docs/training.md says where it cannot)."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # only slower
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    torch.use_deterministic_algorithms(True, warn_only=True)
