"""A plain, cheap dense detector, for heads that change a single part of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection.blocks import PRIOR, ConvGN, DenseTowers, UpGN, prediction
from argus_core.detection.dense import DenseHead, DenseOutput
from argus_core.detection.levels import LEVELS, pyramid_strides
from argus_core.recipe import Recipe
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, default_layers


class LightHead(DenseHead):
    """A 1x1 ``stem``, a ``pyramid`` with one learned step, and two towers of two 3x3 and two depthwise blocks.

    It reads the last layer, or of a pyramid the layers of strides 8, 16 and 32 as one map: ``taps``, see
    ``light_taps``. A subclass passes the parts that it replaces: ``stem`` maps (B, C, h, w) features to
    (B, ``width``, h, w), ``pyramid`` that to one map per stride, ``classifier`` (B, ``width``, h, w) to (B, K, h, w)
    logits.
    """

    recipe = Recipe(lr=1e-3, batch=16, epochs=12)

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 192,
        stem: nn.Module | None = None,
        pyramid: nn.Module | None = None,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = light_taps(info)
        self.strides = pyramid_strides(self.taps.stride)
        self.stem = stem or ConvGN(self.taps.channels, width, 1, act=True)
        self.pyramid = pyramid or MeanPyramid(width)
        classifier = classifier or prediction(width, len(task.classes), prior=PRIOR)
        self.towers = DenseTowers(width, classifier, self.strides, convs=2, residuals=2)

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        return DenseOutput(self.towers(self.pyramid(self.stem(self.taps(features)))), self.strides, features.extent)


def light_taps(info: FeatureInfo) -> Taps:
    """The layers that a light head reads, for a subclass that needs to know their channels first."""
    return Taps(info, Needs(layers=default_layers(info)))


class MeanPyramid(nn.Module):
    """The map itself, a learned level of twice its size, and three of half the size each by 2x2 means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = UpGN(width, width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, width, h, w) to maps of 2h x 2w, h x w, and three of half the size each, rounded up."""
        return [self.up(x), x, *halvings(x)]


def halvings(x: Tensor, steps: int = LEVELS - 2) -> list[Tensor]:
    """Repeated means of 2x2 cells (fewer at an odd border): sizes ceil(h / 2**k) x ceil(w / 2**k)."""
    levels = []
    for _ in range(steps):
        x = F.avg_pool2d(x, 2, ceil_mode=True)
        levels.append(x)
    return levels
