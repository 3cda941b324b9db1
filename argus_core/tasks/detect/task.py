"""The task of finding the objects of named classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationInfo, field_validator

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.tasks.base import ClassNames, Task
from argus_core.tasks.calibration import Calibration, Outcomes, yes_or_no
from argus_core.tasks.detect.example import draw_scene, paint
from argus_core.tasks.detect.hits import find_hits
from argus_core.tasks.detect.merge import merge_detections
from argus_core.tasks.detect.metric import Backend, CocoMetric
from argus_core.tasks.detect.result import DetectionResult
from argus_core.tasks.detect.values import LIMIT, Boxes, BoxTarget, Detections
from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tokens import FeatureInfo, Tokens

ROUNDING = 1.0
"""Pixels by which a box may reach beyond its image."""
VANISHED = 1e-3
"""A box with a shorter side, in canvas pixels, is not on the canvas."""


class Detect(Task):
    """Find every object of ``classes``; scored by COCO's average precision.

    ``categories`` are the data set's own ids of the classes, as used in result files in COCO's format; without them
    ids count from 1. Tasks of the same classes are equal, whatever their ids.
    """

    name: ClassVar[str] = "detect"
    floor: ClassVar[str] = "detect.closed_form"
    classes: ClassNames
    categories: tuple[int, ...] = ()

    @field_validator("categories")
    @classmethod
    def _check_categories(cls, categories: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if categories and not len(set(categories)) == len(categories) == len(info.data.get("classes", ())):
            raise ArgusError(f"a detection task needs one distinct category id per class, not {list(categories)}")
        return categories

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.classes == other.classes

    def __hash__(self) -> int:
        return hash((type(self), self.classes))

    def target(self, truth: Boxes, placement: Placement) -> BoxTarget:
        """The boxes on the canvas, without those that a crop cut away."""
        if np.any((truth.labels < 0) | (truth.labels >= len(self.classes))):
            raise ArgusError(f"labels {set(truth.labels.tolist())} do not fit the {len(self.classes)} classes")
        boxes = placement.boxes_to_canvas(truth.boxes)
        seen = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= VANISHED
        return BoxTarget(
            torch.from_numpy(boxes[seen]).float(),
            torch.from_numpy(truth.labels[seen]).long(),
            torch.from_numpy(truth.ignored[seen]).bool(),
        )

    def decode(self, output: Any, canvas: tuple[int, int]) -> list[Detections]:
        """Not implemented: each family of detection heads has its own kind of output."""
        raise NotImplementedError("a detection head decodes its own output: subclass DenseHead or override decode")

    def to_image(self, prediction: Detections, placement: Placement) -> Detections:
        """The detections in image pixels, clipped to the image, on the CPU."""
        boxes = torch.from_numpy(placement.boxes_to_image(prediction.boxes.cpu().numpy())).float()
        return Detections(boxes, prediction.scores.cpu(), prediction.labels.cpu())

    def merge(self, predictions: Sequence[Detections], placements: Sequence[Placement]) -> Detections:
        """The best 100 detections of all passes, each object once, in image pixels on the CPU."""
        found = [self.to_image(*both) for both in zip(predictions, placements, strict=True)]
        return found[0] if len(found) == 1 else merge_detections(found, placements)

    def calibrated(self, prediction: Detections, calibration: Calibration) -> Detections:
        """Scores that are the probability that an object of the class is there and was not found by a better box."""
        scores = calibration.scores(prediction.scores)
        scores = scores.cummin(dim=0).values  # rounding may not change the order
        return Detections(prediction.boxes, scores, prediction.labels)

    def outcomes(self, prediction: Detections, target: BoxTarget, image: int) -> Outcomes:
        """The scores of all detections that count."""
        right, counted = find_hits(prediction, target)
        return yes_or_no(prediction.scores.cpu()[counted], right[counted], image)

    def result(
        self, prediction: Detections, image: npt.NDArray[np.uint8], *, score_thresh: float = 0.3
    ) -> DetectionResult:
        """The detections that score at least ``score_thresh``."""
        kept = prediction.scores >= score_thresh
        detections = Detections(prediction.boxes[kept], prediction.scores[kept], prediction.labels[kept])
        return DetectionResult(image, detections, self.classes, self.categories)

    def metric(self, *, backend: Backend = "pycocotools") -> CocoMetric:
        """COCO's average precision and recall; ``faster`` gives the same numbers and needs the ``fast-eval`` extra."""
        return CocoMetric(self.classes, backend)

    def check(self, prediction: Detections, canvas: tuple[int, int]) -> None:
        """At most 100 boxes on the canvas, best first, with finite numbers and known classes."""
        boxes, scores, labels = prediction.boxes, prediction.scores, prediction.labels
        count = len(scores)
        assert boxes.shape == (count, 4), f"boxes are {tuple(boxes.shape)}, scores ({count},)"
        assert scores.shape == labels.shape == (count,), f"labels are {tuple(labels.shape)}, scores ({count},)"
        assert count <= LIMIT, f"{count} detections in one image, at most {LIMIT} count"
        assert not labels.is_floating_point(), f"labels are {labels.dtype}, not integers"
        assert boxes.isfinite().all() and scores.isfinite().all(), "boxes or scores are not finite"
        assert ((scores >= 0) & (scores <= 1)).all(), "scores leave 0..1"
        assert (scores[1:] <= scores[:-1]).all(), "detections are not sorted by score"
        assert ((labels >= 0) & (labels < len(self.classes))).all(), "labels are not among the classes"
        assert (boxes[:, :2] <= boxes[:, 2:]).all(), "boxes are not x1, y1, x2, y2"
        limit = boxes.new_tensor([canvas[1], canvas[0]]) + 1e-3
        assert (boxes >= -1e-3).all() and (boxes[:, 2:] <= limit).all(), "boxes leave the canvas"

    def inside(self, prediction: Detections, extent: tuple[int, int]) -> None:
        """No box reaches into padding."""
        limit = prediction.boxes.new_tensor([extent[1], extent[0]] * 2) + 1e-3
        assert (prediction.boxes <= limit).all(), f"boxes reach beyond the image, which ends at {extent}"

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What makes an image's boxes unusable: their type or shape, labels without a class, or a place outside it."""
        if fault := _shape_fault(truth):
            return fault
        if np.any(strange := (truth.labels < 0) | (truth.labels >= len(self.classes))):
            return f"label {int(truth.labels[strange][0])} is not the index of one of {len(self.classes)} classes"
        limit = np.array([size[1], size[0]] * 2) + ROUNDING
        fits = (truth.boxes >= -ROUNDING) & (truth.boxes <= limit)
        inside = fits.all(axis=1) & (truth.boxes[:, :2] < truth.boxes[:, 2:]).all(axis=1)  # false for nan
        if inside.all():
            return ""
        box = [round(v, 2) for v in truth.boxes[~inside][0].tolist()]
        return f"the box from {box[:2]} to {box[2:]} does not fit an image of {size[0]}x{size[1]} (height x width)"

    def summary(self, truths: Iterable[Boxes]) -> dict[str, Any]:
        """Numbers of boxes (per class, crowd, difficult), of images without any, and of repeated or tiny boxes."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        empty, crowd, odd = 0, 0, Counter[str]()
        for truth in truths:
            counts += np.bincount(truth.labels, minlength=len(self.classes))
            empty, crowd = empty + (len(truth.labels) == 0), crowd + int(truth.crowd.sum())
            odd["difficult"] += int((truth.difficult & ~truth.crowd).sum())
            rows = np.column_stack([truth.labels, truth.crowd, truth.boxes]).tolist()
            odd["repeated"] += len(rows) - len(set(map(tuple, rows)))
            odd["below_a_pixel"] += int((truth.boxes[:, 2:] - truth.boxes[:, :2] < 1).any(axis=1).sum())
        return {
            "boxes": int(counts.sum()),
            "boxes_per_class": dict(zip(self.classes, counts.tolist(), strict=True)),
            "images_without_boxes": empty,
            "crowd": crowd,
            **{what: count for what, count in odd.items() if count},
        }

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """No box but crowd regions or difficult ones, and boxes that are repeated or less than a pixel wide or high."""
        boxes, crowd, difficult = summary["boxes"], summary["crowd"], summary.get("difficult", 0)
        if crowd + difficult == boxes:
            kinds = [word for word, count in (("crowd regions (iscrowd)", crowd), ("difficult", difficult)) if count]
            what = f"all {boxes} boxes are {' or '.join(kinds)}" if boxes else "no image has a box"
            return [Fault("", f"{what}: there is nothing to learn or to score", wrong=True)]
        again, tiny = summary.get("repeated", 0), summary.get("below_a_pixel", 0)
        odd = {"repeat another box of their image and class": again, "are less than a pixel wide or high": tiny}
        return [Fault("", f"{n} of {boxes} boxes {what}", count=n, total=boxes) for what, n in odd.items() if n]

    def unseen(self, summary: Mapping[str, Any]) -> list[str]:
        """Classes without boxes."""
        return [name for name, count in summary["boxes_per_class"].items() if not count]

    def nothing(self, canvas: tuple[int, int]) -> BoxTarget:
        """No boxes."""
        return BoxTarget(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[BoxTarget]]:
        """Scenes of up to three boxes, whose class vectors fill the cells they cover; half have padding."""
        classes, extent = len(self.classes), draw_extents(canvas, images)
        targets = [draw_scene(classes, size, generator) for size in extent]
        tokens = paint_tokens(
            info,
            layers,
            canvas,
            extent,
            generator,
            lambda layer: paint(targets, classes, info, layer, canvas, generator),
        )
        return tokens, targets

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Boxes:
        """One to three boxes, each in its own quarter of the image."""
        scene = draw_scene(len(self.classes), torch.tensor(size), generator)
        boxes, crowd = scene.boxes.double().numpy(), scene.crowd.numpy()
        return Boxes(boxes, scene.labels.numpy(), crowd, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))

    def perfect(self, truth: Boxes, placement: Placement) -> Detections:
        """Every box with a score of 1."""
        target = self.target(truth, placement)
        kept = ~target.crowd
        return Detections(target.boxes[kept], torch.ones(int(kept.sum())), target.labels[kept])

    @classmethod
    def small(cls) -> Detect:
        """Three classes."""
        return cls(classes=("disc", "ring", "star"))


def _shape_fault(truth: Any) -> str:
    """Why an annotation does not hold boxes, labels, flags and areas of one length; empty if it does."""
    if not isinstance(truth, Boxes):
        return f"it is {type(truth).__name__}, not Boxes"
    shapes = [getattr(array, "shape", None) for array in vars(truth).values()]
    count = (shapes[1] or (0,))[0]
    if shapes != [(count, 4), *[(count,)] * 4] or truth.labels.dtype.kind not in "ui":
        what = "boxes, labels, crowd flags, areas and difficult flags"
        return f"{what} are {shapes}, not (N, 4) and four times (N,), with whole labels"
    return ""
