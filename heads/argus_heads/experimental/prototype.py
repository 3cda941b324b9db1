"""A light detector whose classes are frozen vectors: means of their image features, or text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import (
    CosineClassifier,
    LightHead,
    NamedClasses,
    centres,
    class_vectors,
    covers,
    grid_points,
    light_taps,
    without_crowds,
)
from argus_core.errors import ArgusError
from argus_core.nn import total_over_batches
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Taps, cell_mask

Batches = Iterable[tuple[Features, Sequence[BoxTarget]]]


def cells_in(boxes: Tensor, xy: Tensor, visible: Tensor) -> Tensor:
    """(G, N) bool: which cells with centres ``xy`` (N, 2) lie in (G, 4) boxes; the nearest for a box without any.

    Only cells that are ``visible`` (N,) count.
    """
    inside = covers(boxes, xy) & visible
    distance = (centres(boxes)[:, None] - xy).square().sum(dim=-1).masked_fill(~visible, torch.inf)
    nearest = F.one_hot(distance.argmin(dim=1), len(xy)).bool()
    return torch.where(inside.any(dim=1, keepdim=True), inside, nearest)


def box_sums(features: Features, boxes: Sequence[Tensor], centre: Tensor, stride: int) -> Tensor:
    """(G, C) float64 over all images: sums of unit(feature - ``centre`` (C,)) over the cells of each box."""
    grid = (features.map.shape[2], features.map.shape[3])
    xy = grid_points([grid], [stride], features.map.device).xy
    visible = cell_mask(features.extent, stride, grid).flatten(1)  # (B, N)
    offsets = features.map.double().flatten(2) - centre.to(features.map).double()[:, None]
    images = zip(boxes, visible, F.normalize(offsets, dim=1), strict=True)
    return torch.cat([cells_in(b.to(xy), xy, mask).double() @ units.T for b, mask, units in images])


def mean_feature(batches: Batches, taps: Taps) -> Tensor:
    """(C,) float64 mean over all cells that hold image."""

    def part(features: Features, _: Sequence[BoxTarget]) -> tuple[Tensor, int]:
        cells = taps(features)
        mask = cell_mask(features.extent, taps.stride, (cells.shape[2], cells.shape[3]))
        return cells.double().sum(dim=(0, 2, 3)), int(mask.sum())  # padding is zero

    total, cells = total_over_batches(batches, part)
    return total / max(cells, 1)


def class_means(batches: Batches, taps: Taps, classes: int, centre: Tensor) -> Tensor:
    """(classes, C) unit vectors, float64: the direction of the cells of each class from ``centre``, without crowds.

    A class without boxes has a zero vector. Large objects have more cells, and so more weight.
    """

    def part(features: Features, targets: Sequence[BoxTarget]) -> Tensor:
        objects = without_crowds(targets)
        labels = torch.cat([target.labels for target in objects]).cpu()
        sums = box_sums(taps.view(features), [t.boxes for t in objects], centre, taps.stride).cpu()
        return torch.zeros(classes, len(centre), dtype=torch.float64).index_add_(0, labels, sums)

    return F.normalize(total_over_batches(batches, part), dim=1)


class Prototype(NamedClasses, LightHead):
    """Classes are scored by cosine to frozen prototypes (Snell 2017), so that new ones need no training.

    A prototype is the mean unit feature of the cells in the class's boxes, or a row of the ``text`` file
    (Radford 2021; Gu 2022), whose vectors have ``dim`` numbers (default: the channels of the backbone). The overall
    mean is subtracted from image features first, because it would dominate every cosine. The towers are ``width``
    wide, but not wider than the vectors are long.
    """

    centre: Tensor
    cosine: type[CosineClassifier] = CosineClassifier

    def __init__(
        self,
        info: FeatureInfo,
        task: Detect,
        *,
        width: int = 192,
        text: Path | None = None,
        dim: int | None = None,
    ) -> None:
        channels = light_taps(info).channels
        vectors = class_vectors(task.classes, text, dim or channels, "dim")
        width = min(width, vectors.shape[1])
        super().__init__(info, task, width=width, classifier=self.cosine(width, vectors))
        self.from_images = text is None and vectors.shape[1] == channels
        self._start = self.classifier.cls_project.weight.detach().clone()
        self.register_buffer("centre", torch.zeros(channels))

    @property
    def fitted(self) -> bool:
        """Whether the prototypes come from images."""
        return self.from_images

    def fit(self, batches: Batches) -> None:
        """Two passes: the mean feature, then each class's mean direction from it; float64 sums."""
        self.centre.copy_(mean_feature(batches, self.taps))
        means = class_means(batches, self.taps, len(self.classes), self.centre.cpu())
        with torch.no_grad():  # an earlier fit turned the projection towards its own class vectors
            self.classifier.cls_project.weight.copy_(self._start)
        self.classifier.replace(means)

    @torch.no_grad()
    def class_vector(self, features: Features, boxes: Sequence[Tensor]) -> Tensor:
        """The prototype (C,) of the objects in ``boxes``, per image (G, 4) canvas pixels, for ``add_class``."""
        if not self.centre.any():
            raise ArgusError("the classes of this head are no image means: take the new vector from where theirs are")
        total = box_sums(self.taps.view(features), boxes, self.centre, self.taps.stride).sum(dim=0)
        if not total.any():
            raise ArgusError("there is no box to take a class vector from; give at least one")
        return F.normalize(total, dim=0).float()
