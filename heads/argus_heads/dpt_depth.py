"""DPT for depth: four taps fused from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from argus_core.depth_bins import BinLogits, canvas_depth
from argus_core.depth_losses import SILog
from argus_core.dpt import Fusion, Reassemble, resize
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.recipe import Conditions, Recipe
from argus_core.taps import pyramid_layers, quarter_layers
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tokens import FeatureInfo, Features, Needs, cell_mask

LEVELS = 4
USUAL = (4, 8, 16, 32)


class DPT(Head):
    """A dense prediction transformer's decoder (Ranftl 2021) that answers with ``bins`` linear depth bins.

    Four ``layers``, by default evenly spaced ones, become maps of a quarter, a half, one and two times the
    backbone's stride; those of a pyramid, by default of strides 4 to 32, keep the strides they have. ``double``
    enlarges the last map once more, as published, before it is read: four times the work of that layer.
    """

    solves = Depth
    recipe = Recipe(
        lr=1e-4,
        weight_decay=1e-3,
        batch=16,
        epochs=25,  # what the steps are on the 24,231 images of NYU Depth V2
        steps=38_400,
        conditions=Conditions(canvas=(416, 416)),
    )

    def __init__(
        self,
        info: FeatureInfo,
        task: Depth,
        *,
        width: int = 256,
        bins: int = 256,
        layers: tuple[int, ...] = (),
        double: bool = True,
    ) -> None:
        super().__init__(info, task)
        # Every tap has a norm of its own, so the backbone's final one, made for the last block, is left out.
        self.needs = Needs(layers=layers or four_layers(info), norm=False)
        self.low, self.high = task.low, task.high
        taps = self.needs.resolve(info).layers
        strides = [info.strides[layer] for layer in taps]
        self.strides = level_strides(strides)
        if double and self.strides[0] % 2:
            raise ArgusError(f"the last map's stride of {self.strides[0]} px cannot be halved; set double=false")
        self.stride = self.strides[0] // 2 if double else self.strides[0]
        self.reassemble = nn.ModuleList(
            Reassemble(info.channels[layer], width, stride, to)
            for layer, stride, to in zip(taps, strides, self.strides, strict=True)
        )
        self.fusion = nn.ModuleList(Fusion(width) for _ in taps)
        self.predict = nn.Conv2d(width, bins, 3, padding=1)
        self.criterion = SILog()

    def forward(self, features: Features) -> BinLogits:
        """Bin logits at half the finest level's stride."""
        extent = features.extent
        taps = [one(tap, extent) for one, tap in zip(self.reassemble, features.maps, strict=True)]
        path: Tensor | None = None
        for level in reversed(range(LEVELS)):
            tap = taps[level]
            if path is not None:
                path = resize(path, self.strides[level + 1], self.strides[level], extent)
                path = path[..., : tap.shape[2], : tap.shape[3]]  # an odd grid doubled from a rounded half
            path = self.fusion[level](path, tap, cell_mask(extent, self.strides[level], (tap.shape[2], tap.shape[3])))
        assert path is not None
        return BinLogits(self._read(path, features), self.stride, extent)

    def loss(self, output: BinLogits, targets: Sequence[DepthTarget]) -> dict[str, Tensor]:
        """SILog at canvas resolution, over the known pixels of the batch."""
        truth = torch.stack([target.depth for target in targets])  # (B, H, W)
        depth = canvas_depth(output, self.low, self.high, (truth.shape[1], truth.shape[2]))
        return {"silog": self.criterion(depth, truth)}

    def _read(self, path: Tensor, features: Features) -> Tensor:
        """Logits of the cells that begin on the canvas."""
        path = resize(path, self.strides[0], self.stride, features.extent)
        rows, cols = (-(-n // self.stride) for n in features.size)
        path = path[..., :rows, :cols]
        return self.predict(path * cell_mask(features.extent, self.stride, (path.shape[2], path.shape[3])))


def four_layers(info: FeatureInfo) -> tuple[int, ...]:
    """The layers that are fused by default: those of strides 4 to 32 px, or the last of each quarter."""
    usual = pyramid_layers(info, USUAL)
    return usual if len(usual) == LEVELS else quarter_layers(info.depth)


def level_strides(strides: Sequence[int]) -> tuple[int, ...]:
    """The strides that taps of ``strides`` are resized to, each twice the one before."""
    if len(strides) != LEVELS:
        raise ArgusError(f"DPT fuses four layers, not {len(strides)}")
    alike = len(set(strides)) == 1
    if alike and strides[0] % 4:
        raise ArgusError(f"a stride of {strides[0]} px has no quarter; choose layers with a multiple of 4 px")
    levels = tuple((strides[0] // 4 if alike else strides[0]) * 2**level for level in range(LEVELS))
    if not alike and levels != tuple(strides):
        raise ArgusError(f"layers of strides {list(strides)} are no pyramid; choose ones that double, or all alike")
    return levels
