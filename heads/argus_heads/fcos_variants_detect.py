"""Two settings of FCOS for comparisons: a narrow one, and one that reads four layers."""

from __future__ import annotations

from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, default_layers, quarter_layers
from argus_heads.fcos_detect import FCOS


class SlimFCOS(FCOS):
    """FCOS of half the width and half the tower depth, whose pyramid narrows before it resizes."""

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 128,
        depth: int = 2,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
    ) -> None:
        super().__init__(info, task, width=width, depth=depth, pyramid="slim", layers=layers, stride=stride)


class HookFCOS(FCOS):
    """FCOS that mixes earlier ``layers`` into the last one, and starts as FCOS on the last one alone.

    The default is the last block of each quarter of a transformer, 2, 5, 8 and 11 of twelve, and of a pyramid the
    layers of strides 8, 16 and 32; a cache must hold all of them.
    """

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 256,
        depth: int = 4,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
    ) -> None:
        single_stride = len(set(info.strides)) == 1
        layers = layers or (quarter_layers(info.depth) if single_stride else default_layers(info))
        super().__init__(info, task, width=width, depth=depth, layers=layers, stride=stride, fuse="project")
