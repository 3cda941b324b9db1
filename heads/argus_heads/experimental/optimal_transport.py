"""A detector whose training targets follow what it predicts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.detection.assign import scenes
from argus_core.detection.dense import DenseOutput
from argus_core.detection.geometry import Points, ltrb_to_boxes
from argus_core.detection.light import LightHead
from argus_core.detection.transport import OTA
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo


class OptimalTransport(LightHead):
    """The light head, trained on locations that optimal transport picks by loss (OTA, Ge 2021; Sinkhorn, Cuturi 2013).

    Its quality is the overlap of the predicted box (YOLOX, 2021): a central location no longer is a better one.
    """

    quality = "iou"

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192) -> None:
        super().__init__(info, task, width=width)

    def assign(self, points: Points, targets: Sequence[BoxTarget], output: DenseOutput) -> Tensor:
        """(B, N) box index per location, -1 background, -2 ignored; by the predictions at hand."""
        cls, ltrb, _ = output.flat()
        boxes = ltrb_to_boxes(points.xy, ltrb)
        matched = []
        for image, scene in enumerate(scenes(points, targets, output.extent)):
            labels = targets[image].labels[scene.objects]
            matched.append(scene.assign(OTA(cls[image, scene.seen], boxes[image, scene.seen], labels)))
        return torch.stack(matched)
