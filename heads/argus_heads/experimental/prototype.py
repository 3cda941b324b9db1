"""Prototype: a light detector whose classes are frozen vectors, the means of their images or text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection.class_means import box_sums, class_means, mean_feature
from argus_core.detection.cosine import CosineClassifier
from argus_core.detection.light import LightHead, light_taps
from argus_core.detection.named_classes import NamedClasses, class_vectors
from argus_core.errors import ArgusError
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features

Batches = Iterable[tuple[Features, Sequence[BoxTarget]]]


class Prototype(NamedClasses, LightHead):
    """Classes are compared by cosine to frozen prototypes (Snell 2017), so that new ones need no training.

    A prototype is the mean unit feature of the cells in the class's boxes, or a row of the ``text`` file
    (Radford 2021; Gu 2022), whose vectors have ``dim`` numbers (default: as many as the backbone has channels).
    Image features are taken from their overall mean, which all have in common and which would fill most of every
    cosine. The towers are ``width`` wide, but not wider than the vectors are long.
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
        self.register_buffer("centre", torch.zeros(channels))

    @property
    def fitted(self) -> bool:
        """Whether the prototypes are taken from images."""
        return self.from_images

    def fit(self, batches: Batches) -> None:
        """Two passes: the mean feature, then each class's mean direction from it; float64 sums."""
        stride = self.taps.stride
        self.centre.copy_(mean_feature(self.taps.views(batches), stride))
        means = class_means(self.taps.views(batches), len(self.classes), self.centre.cpu(), stride)
        self.classifier.replace(means)

    @torch.no_grad()
    def class_vector(self, features: Features, boxes: Sequence[Tensor]) -> Tensor:
        """The prototype (C,) of what lies in ``boxes``: per image (G, 4) canvas pixels; for ``add_class``."""
        if not self.centre.any():
            raise ArgusError("the classes of this head are no image means: take the new vector from where theirs are")
        total = torch.cat(box_sums(self.taps.view(features), boxes, self.centre, self.taps.stride)).sum(dim=0)
        if not total.any():
            raise ArgusError("there is no box to take a class vector from; give at least one")
        return F.normalize(total, dim=0).float()
