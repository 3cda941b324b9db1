"""FCOS on a frozen backbone: the baseline detector."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from argus_core.detection import (
    PRIOR,
    DenseHead,
    DenseOutput,
    DenseTowers,
    FCOSAssigner,
    FeaturePyramid,
    SimplePyramid,
    prediction,
    pyramid_strides,
)
from argus_core.errors import ArgusError
from argus_core.recipe import Conditions, Recipe
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, default_layers


class FCOS(DenseHead):
    """A learned pyramid and two towers of ``depth`` convolutions shared by its levels (Tian 2019; Li 2022).

    ``pyramid`` ``slim`` narrows to ``width`` before resizing. Several ``layers``, of a pyramid by default those of
    strides 8, 16 and 32, are brought to ``stride`` px and stacked on channels, or with ``fuse`` ``project`` mixed into
    the channels of the last one. ``pyramid`` ``native`` keeps the strides that layers have, see ``FeaturePyramid``.
    """

    recipe = Recipe(lr=1e-3, batch=64, epochs=8, conditions=Conditions(canvas=(640, 640)))

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 256,
        depth: int = 4,
        pyramid: Literal["full", "slim", "native"] = "full",
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        fuse: Literal["stack", "project"] = "stack",
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or default_layers(info))
        if pyramid == "native":
            if stride is not None or fuse != "stack":
                raise ArgusError("pyramid=native keeps the strides of its layers apart: leave out stride and fuse")
            native = FeaturePyramid(info, self.needs, width)
            self.pyramid: nn.Module = native
            self.strides = native.strides
        else:
            self.taps = Taps(info, self.needs, project=fuse == "project", stride=stride)
            self.strides = pyramid_strides(self.taps.stride)
            self.pyramid = SimplePyramid(self.taps.channels, width, slim=pyramid == "slim")
        # Level i detects boxes that reach 4 to 8 of its strides, as in the paper at strides 8 to 128.
        self.assigner = FCOSAssigner(bounds=(0, *(8 * stride for stride in self.strides[:-1]), math.inf))
        classifier = prediction(width, len(task.classes), kernel=3, prior=PRIOR)
        self.towers = DenseTowers(width, classifier, self.strides, convs=depth, kernel=3)

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        levels = self.pyramid(features.maps if isinstance(self.pyramid, FeaturePyramid) else self.taps(features))
        return DenseOutput(self.towers(levels), self.strides, features.extent)
