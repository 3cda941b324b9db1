"""The device that a command computes on."""

from __future__ import annotations

import os

import torch

from argus_core.errors import ArgusError


def find_device(name: str | None = None) -> torch.device:
    """The device ``name``, by default a GPU where there is one; raises ArgusError for one that is not there.

    Of several GPUs ``cuda`` is that of this process, as ``torchrun`` numbers them, else the first.
    """
    try:
        chosen = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ArgusError(f"device {name!r} is none that torch knows; give cpu, cuda or cuda:1") from error
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count()}
    here["mps"] = int(torch.backends.mps.is_available())
    if (chosen.index or 0) >= here.get(chosen.type, 0):
        found = ", ".join(
            ["the CPU", *(f"{number} {kind}" for kind, number in here.items() if number and kind != "cpu")]
        )
        raise ArgusError(f"there is no device {chosen} here; there is {found}")
    return chosen
