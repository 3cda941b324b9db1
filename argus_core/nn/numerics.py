"""Number formats, contexts that stay in float32, and sums over the processes of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor

from argus_core.common.device import cpu_flags


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast on ``device``; its tensors must be float32 already."""
    # Devices without kernels, such as meta, have no autocast to turn off.
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()


def computes_bf16(device: torch.device) -> bool:
    """Whether ``device`` is a GPU with native bfloat16; older ones emulate it, slower than float32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def multiplies_bf16() -> bool:
    """Whether this CPU has matrix products in bfloat16, several times as fast as in float32."""
    return "amx_bf16" in cpu_flags() and torch.backends.mkldnn.is_available()


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """A context with products and convolutions in all 23 bits of float32, whatever the process allows."""
    if device.type != "cuda":
        yield
        return
    before = _switch_tf32((False, False))
    try:
        yield
    finally:
        _switch_tf32(before)


def _switch_tf32(allowed: tuple[bool, bool]) -> tuple[bool, bool]:
    """Allow TF32 in products and convolutions, or not, and return what was allowed before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    with warnings.catch_warnings():  # PyTorch 2.9 points to switches that older versions lack
        warnings.simplefilter("ignore", UserWarning)
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32, cudnn.allow_tf32 = allowed
    return before


def total_over_processes(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes, with gradients; for a single process ``value`` itself."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        from torch.distributed.nn.functional import all_reduce  # absent where torch is built without processes

        return all_reduce(value)
    return value


def batch_total(value: Tensor) -> Tensor:
    """The normaliser of a loss over the whole batch, at least 1; the mean over several processes."""
    total = value.detach().float().clone()
    if dist.is_available() and dist.is_initialized():
        # Gradients are averaged over processes, so the mean of the totals makes the sum of losses exact.
        dist.all_reduce(total)
        total /= dist.get_world_size()
    return total.clamp(min=1)
