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
    L2-normalised cell by cell, so that all have the same weight (hypercolumns, Hariharan 2015). The published
    protocol enlarges the features of a 512-pixel canvas to 512. Finer pixels only round less; the resolution of the
    features is that of the canvas. ``refine`` moves a match between the pixels; ``mutual`` also marks the matches
    that lead back to their starting point.
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
        """The features, with several layers stacked to one vector per cell."""
        pairs = zip(features.maps, self.strides, strict=True)
        maps = [restride(x, stride, self.stride, features.extent, features.size) for x, stride in pairs]
        stacked = maps[0] if len(maps) == 1 else torch.cat([F.normalize(x, dim=1) for x in maps], dim=1)
        return DescriptorMaps(stacked, self.stride, features.extent, self.search)
