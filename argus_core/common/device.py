"""The device that a command computes on."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import torch

from argus_core.common.allocator import kept_bytes
from argus_core.errors import ArgusError


def find_device(name: str | None = None) -> torch.device:
    """The device ``name``, by default a GPU if there is one; raises ArgusError if it does not exist.

    With several GPUs ``cuda`` is the one of this process, as numbered by ``torchrun``, or else the first.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ArgusError(f"torch knows no device {name!r}; give cpu, cuda or cuda:1") from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    counts = {"cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count()}
    counts["mps"] = int(torch.backends.mps.is_available())
    if (device.index or 0) >= {"cpu": 1, **counts}.get(device.type, 0):
        available = ", ".join(["the CPU", *(f"{count} {kind}" for kind, count in counts.items() if count)])
        raise ArgusError(f"there is no device {device} here; there is {available}")
    return device


def kind_of(device: torch.device) -> str:
    """The kind of a device, and the version of torch: where both are the same, so are the numbers that it computes."""
    name = ""
    if device.type == "cpu":
        name = f" ({torch.backends.cpu.get_cpu_capability()})"
    elif device.type == "cuda":
        name = f" ({torch.cuda.get_device_name(device)})"
    return f"{device.type}{name}, torch {torch.__version__.partition('+')[0]}"


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, those included that the process holds there for tensors to come."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024 + kept_bytes()
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@cache
def cpu_flags() -> frozenset[str]:
    """What this CPU can do, in the words of the Linux kernel; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split() if found else ())
