"""Sums over the processes of one run, inside a head or a loss."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor

__all__ = ["batch_total", "total_over_processes"]


def total_over_processes(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes, through which gradients flow; alone, ``value`` itself."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        from torch.distributed.nn.functional import all_reduce  # absent where torch is built without processes

        return all_reduce(value)
    return value


def batch_total(value: Tensor) -> Tensor:
    """A loss's normaliser over the whole batch, at least 1; with several processes the mean over them."""
    total = value.detach().float().clone()
    if dist.is_available() and dist.is_initialized():
        # Gradients are averaged over processes, so the mean of the totals makes the sum of losses exact.
        dist.all_reduce(total)
        total /= dist.get_world_size()
    return total.clamp(min=1)
