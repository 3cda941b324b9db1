"""The linear probe: surface normals from the tokens of each cell alone."""

from __future__ import annotations

from torch import nn

from argus_core import FeatureInfo, Features, Head, Needs, Recipe
from argus_core.nn import MaskedBatchNorm2d
from argus_core.tokens import Taps, cell_mask
from argus_normals.task import Normals
from argus_normals.vectors import RawNormals


class LinearNormals(Head):
    """Batch normalisation and one 1x1 convolution to a vector, on the stacked ``layers`` (Banani 2024)."""

    solves = Normals
    recipe = Recipe(lr=1e-3, weight_decay=1e-3, batch=8, epochs=10)

    def __init__(self, info: FeatureInfo, task: Normals, *, layers: tuple[int, ...] = (-1,)) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers)
        self.taps = Taps(info, self.needs)
        self.norm = MaskedBatchNorm2d(self.taps.channels)
        self.predict = nn.Conv2d(self.taps.channels, 3, 1)

    def forward(self, features: Features) -> RawNormals:
        """A vector of any length for every cell."""
        x = self.taps(features)  # (B, C, h, w)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        return RawNormals(self.predict(self.norm(x, mask)), self.taps.stride, features.extent)
