"""Matching without training: the backbone's own features as descriptors."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import Refine
from argus_core.tasks.correspond import Correspond, DescriptorMaps, Search
from argus_core.tokens import FeatureInfo, Features, Needs, common_stride, default_layers, restride


class Match(Head):
    """Cosine similarity of features, enlarged until the canvas' longer side has ``size`` pixels.

    Several ``layers``, of a pyramid by default those of strides 8, 16 and 32, are brought to ``stride`` px and
    L2-normalised cell by cell, so that all count alike (hypercolumns, Hariharan 2015).
    Features of a 512-pixel canvas enlarged to 512 are those of the published protocol. Finer pixels only round
    less; what is told apart is decided by the canvas. ``refine`` moves a match between the pixels; ``mutual``
    also tells which matches lead back to where they began.
    """

    solves = Correspond

    def __init__(
        self,
        info: FeatureInfo,
        task: Correspond,
        *,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        norm: bool = True,
        size: int = 512,
        refine: Refine = "none",
        mutual: bool = False,
    ) -> None:
        super().__init__(info, task)
        if size < 1:
            raise ArgusError(f"option size={size} must be at least 1 pixel")
        self.needs = Needs(layers=layers or default_layers(info), norm=norm)
        self.stride = common_stride(info, self.needs, stride)
        self.strides = [info.strides[layer] for layer in self.needs.resolve(info).layers]
        self.search = Search(size, refine, mutual)

    def forward(self, features: Features) -> DescriptorMaps:
        """The features themselves, of several layers as one vector per cell."""
        pairs = zip(features.maps, self.strides, strict=True)
        maps = [restride(x, stride, self.stride, features.extent, features.size) for x, stride in pairs]
        one = maps[0] if len(maps) == 1 else torch.cat([F.normalize(x, dim=1) for x in maps], dim=1)
        return DescriptorMaps(one, self.stride, features.extent, self.search)
