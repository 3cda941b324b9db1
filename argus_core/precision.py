"""Stretches of a head that stay in float32 under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["full_precision"]


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast on ``device`` inside; its tensors must be float32 already."""
    # Devices without kernels, such as meta, have no autocast to turn off.
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()
