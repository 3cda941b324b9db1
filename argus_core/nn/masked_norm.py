"""Batch normalisation of maps in which only some cells show the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from argus_core.nn.numerics import full_precision, total_over_processes


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` with batch statistics over the cells that show the image, of all processes.

    If all cells count it equals ``nn.BatchNorm2d`` (``nn.SyncBatchNorm`` with several processes); its state and its
    eval mode are the same. A batch with fewer than two such cells is normalised as in eval mode.
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise all cells of (B, C, h, w); ``mask`` (B, 1, h, w) bool marks those that count."""
        if not self.training:
            return super().forward(x)
        with full_precision(x.device):
            x = x.float()
            mean, variance = self._statistics(x, mask)
            scale = (variance + self.eps).rsqrt() * self.weight
            return (x - _spread(mean)) * _spread(scale) + _spread(self.bias)

    def _statistics(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (C,) of the batch; updates the running ones."""
        count = total_over_processes(mask.sum().float())
        if count < 2:
            return self._running()
        mean = total_over_processes(torch.where(mask, x, 0).sum((0, 2, 3))) / count
        deviation = torch.where(mask, x - _spread(mean), 0)
        variance = total_over_processes(deviation.square().sum((0, 2, 3))) / count
        self._update_running(mean, variance * count / (count - 1))
        return mean, variance

    def _running(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None and self.running_var is not None
        return self.running_mean.clone(), self.running_var.clone()  # a later batch changes them in place

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _spread(channel: Tensor) -> Tensor:
    """(C, 1, 1), to broadcast against (B, C, h, w)."""
    return channel[:, None, None]
