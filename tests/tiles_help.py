"""A network without context, and heads that read off it what an image shows: what is known of large images by hand."""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import nn

from argus_core import Argus, Canvas, Classify, Correspond, Depth, Detect, FeatureInfo, Head, Needs, Segment
from argus_core.backbones.base import Backbone
from argus_core.tasks.classify import Classes
from argus_core.tasks.correspond.descriptors import DescriptorMaps, Search
from argus_core.tasks.depth.values import DepthMaps
from argus_core.tasks.detect.values import Detections
from argus_core.tasks.segment.values import ClassMaps

CELL = 4
INFO = FeatureInfo((3, 3), (CELL, 16), prefix=1)
DARK, BRIGHT = 20, 230


class Pooled(nn.Module):
    """Every cell is the mean of its own pixels, at strides of 4 and 16 px; ``sizes`` are those of all inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.sizes: list[tuple[int, ...]] = []

    def forward_intermediates(self, x, indices=None, **_):
        self.sizes.append(tuple(x.shape))
        return [nn.functional.avg_pool2d(x * self.weight, INFO.strides[index]) for index in indices]


def pooled() -> Backbone:
    return Backbone(
        Pooled(), INFO, name="pooled", mean=(0.0,) * 3, std=(1.0,) * 3, license="Apache-2.0", precision="fp32"
    )


class Blobs(Head):
    """A box around every group of cells that are bright."""

    solves, needs = Detect, Needs((0,))

    def forward(self, features):
        return features.map, features.extent

    def decode(self, output, canvas):
        return [self._boxes(bright > 0.5, end) for bright, end in zip(output[0].mean(1), output[1], strict=True)]

    def _boxes(self, bright, end):
        groups, _ = ndimage.label(bright.numpy())
        boxes = [[c.start, r.start, c.stop, r.stop] for r, c in ndimage.find_objects(groups)]
        found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) * CELL
        found = torch.minimum(found, end.flip(0).repeat(2).float())
        return Detections(found, torch.full((len(found),), 0.9), torch.zeros(len(found), dtype=torch.long))


class Brightness(Head):
    """Two classes: dark and bright."""

    solves, needs = Segment, Needs((0,))

    def forward(self, features):
        return features.map.mean(1)

    def decode(self, output, canvas):
        return [ClassMaps(torch.stack([0.5 - bright, bright - 0.5]), CELL) for bright in output]


class Redness(Head):
    """Metres that red stands for: 1 to 9."""

    solves, needs = Depth, Needs((0,))

    def forward(self, features):
        return 1 + 8 * features.map[:, 0]

    def decode(self, output, canvas):
        return [DepthMaps(metres, torch.zeros_like(metres), CELL) for metres in output]


class Mean(Head):
    """The class of the brightness of the whole image."""

    solves, needs = Classify, Needs((1,), maps=False, cls=True)

    def forward(self, features):
        bright = features.cls[0].mean(1)
        return torch.stack([1 - bright, bright], dim=1)

    def decode(self, output, canvas):
        return [Classes(scores) for scores in output]


class Colours(Head):
    """The colour of each cell describes it."""

    solves, needs = Correspond, Needs((0,))

    def forward(self, features):
        return DescriptorMaps(features.map, CELL, features.extent, Search())


def argus(side: int = 64) -> Argus:
    """All five heads on one square canvas."""
    classes = ("dark", "bright")
    heads = {
        "boxes": Blobs(INFO, Detect(classes=("blob",))),
        "masks": Brightness(INFO, Segment(classes=classes)),
        "metres": Redness(INFO, Depth()),
        "kind": Mean(INFO, Classify(classes=classes)),
        "match": Colours(INFO, Correspond()),
    }
    return Argus(pooled(), heads, Canvas(side, interpolation="nearest"))
