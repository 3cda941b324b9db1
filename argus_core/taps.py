"""The taps of a head as one map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, Needs

__all__ = ["Taps", "common_stride"]


class Taps(nn.Module):
    """The taps of a head as one (B, ``channels``, h, w) map: stacked, or if ``project`` mixed into the last.

    ``project`` puts a LayerNorm on all taps but the last and a 1x1 convolution on the stack. It starts as a
    copy of the last tap, so that training decides what the others add.
    """

    def __init__(self, info: FeatureInfo, needs: Needs, project: bool = False) -> None:
        super().__init__()
        self.stride = common_stride(info, needs)
        widths = [info.channels[layer] for layer in needs.resolve(info).layers]
        self.channels = widths[-1] if project else sum(widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[:-1]) if project else None
        self.mix = nn.Conv2d(sum(widths), widths[-1], 1) if project else nn.Identity()
        if isinstance(self.mix, nn.Conv2d):
            nn.init.zeros_(self.mix.weight)
            nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]
            self.mix.weight.data[:, -widths[-1] :, 0, 0].fill_diagonal_(1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The taps (B, C_i, h, w) in the order of the needs."""
        if self.norms is not None:
            normed = [_channel_norm(norm, x) for norm, x in zip(self.norms, maps[:-1], strict=True)]
            maps = [*normed, maps[-1]]
        return self.mix(torch.cat(list(maps), dim=1))


def _channel_norm(norm: nn.Module, x: Tensor) -> Tensor:
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def common_stride(info: FeatureInfo, needs: Needs) -> int:
    """The stride in pixels of the taps that a head stacks; raises if they differ."""
    strides = {info.strides[layer] for layer in needs.resolve(info).layers}
    if len(strides) != 1:
        raise ArgusError(f"layers {list(needs.layers)} have strides {sorted(strides)}; choose layers of one stride")
    return strides.pop()
