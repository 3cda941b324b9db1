"""FCOS on a frozen backbone: the baseline detector."""

from __future__ import annotations

import math
from typing import Literal

from argus_core.detection.assign import FCOSAssigner
from argus_core.detection.blocks import PRIOR, DenseTowers, prediction
from argus_core.detection.dense import DenseHead, DenseOutput
from argus_core.detection.levels import SimplePyramid, pyramid_strides
from argus_core.recipe import Recipe
from argus_core.taps import Taps
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs


class FCOS(DenseHead):
    """A learned pyramid and two towers of ``depth`` convolutions shared by its levels (Tian 2019; Li 2022).

    ``pyramid`` ``slim`` narrows to ``width`` before resizing. Several ``layers`` are stacked on channels, or
    with ``fuse`` ``project`` mixed into the channels of the last one.
    """

    recipe = Recipe(lr=1e-3, batch=64, epochs=8)

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 256,
        depth: int = 4,
        pyramid: Literal["full", "slim"] = "full",
        layers: tuple[int, ...] = (-1,),
        fuse: Literal["stack", "project"] = "stack",
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers)
        self.taps = Taps(info, self.needs, project=fuse == "project")
        self.strides = pyramid_strides(self.taps.stride)
        # Level i answers for boxes that reach 4 to 8 of its strides, as in the paper at strides 8 to 128.
        self.assigner = FCOSAssigner(bounds=(0, *(8 * stride for stride in self.strides[:-1]), math.inf))
        self.pyramid = SimplePyramid(self.taps.channels, width, slim=pyramid == "slim")
        classifier = prediction(width, len(task.classes), kernel=3, prior=PRIOR)
        self.towers = DenseTowers(width, classifier, self.strides, convs=depth, kernel=3)

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        levels = self.pyramid(self.taps(features.maps))
        return DenseOutput(self.towers(levels), self.strides, features.extent)
