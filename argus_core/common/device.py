"""The device that a command computes on."""

from __future__ import annotations

import os

import torch

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
