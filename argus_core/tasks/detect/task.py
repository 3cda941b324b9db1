"""Object detection: boxes of named classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationInfo, field_validator
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.tasks.base import Metric, Task
from argus_core.tasks.detect.values import LIMIT, Boxes, BoxTarget, Detections
from argus_core.tokens import FeatureInfo, Tokens, cell_mask

if TYPE_CHECKING:
    from argus_core.tasks.detect.result import DetectionResult


ROUNDING = 1.0
"""Pixels by which a box may leave its image."""
VANISHED = 1e-3
"""A box with a shorter side, in canvas pixels, is not on the canvas."""


class Detect(Task):
    """Find every object of ``classes``; scored by COCO's average precision.

    ``categories`` are the data set's own ids of the classes, which files of results in COCO's format carry; where it
    has none, they count from 1. Tasks of the same classes are equal, whatever their ids.
    """

    name: ClassVar[str] = "detect"
    floor: ClassVar[str] = "detect.analytic_person"
    classes: tuple[str, ...]
    categories: tuple[int, ...] = ()

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not classes or len(set(classes)) != len(classes):
            raise ArgusError(f"a detection task needs one or more distinct class names, not {list(classes)}")
        return classes

    @field_validator("categories")
    @classmethod
    def _one_each(cls, categories: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if categories and not len(set(categories)) == len(categories) == len(info.data.get("classes", ())):
            raise ArgusError(f"a detection task needs one distinct category id per class, not {list(categories)}")
        return categories

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.classes == other.classes

    def __hash__(self) -> int:
        return hash((type(self), self.classes))

    def target(self, truth: Boxes, placement: Placement) -> BoxTarget:
        """The boxes on the canvas; those that a crop cut away are left out."""
        if np.any((truth.labels < 0) | (truth.labels >= len(self.classes))):
            raise ArgusError(f"labels {set(truth.labels.tolist())} do not fit the {len(self.classes)} classes")
        boxes = placement.boxes_to_canvas(truth.boxes)
        seen = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= VANISHED
        return BoxTarget(
            torch.from_numpy(boxes[seen]).float(),
            torch.from_numpy(truth.labels[seen]).long(),
            torch.from_numpy(truth.crowd[seen]).bool(),
        )

    def decode(self, output: Any, canvas: tuple[int, int]) -> list[Detections]:
        """Nothing is common to all detectors: each family of heads brings its own."""
        raise NotImplementedError("a detection head decodes its own output: subclass DenseHead or override decode")

    def to_image(self, prediction: Detections, placement: Placement) -> Detections:
        """The detections in image pixels, clipped to the image, on the CPU."""
        boxes = torch.from_numpy(placement.boxes_to_image(prediction.boxes.cpu().numpy())).float()
        return Detections(boxes, prediction.scores.cpu(), prediction.labels.cpu())

    def result(
        self, prediction: Detections, image: npt.NDArray[np.uint8], *, score_thresh: float = 0.3
    ) -> DetectionResult:
        """The detections that score at least ``score_thresh``."""
        from argus_core.tasks.detect.result import DetectionResult

        kept = prediction.scores >= score_thresh
        found = Detections(prediction.boxes[kept], prediction.scores[kept], prediction.labels[kept])
        return DetectionResult(image, found, self.classes, self.categories)

    def metric(self, *, backend: Literal["pycocotools", "faster"] = "pycocotools") -> Metric:
        """COCO's average precision and recall; ``faster`` gives the same numbers and needs the ``fast-eval`` extra."""
        from argus_core.tasks.detect.metric import CocoMetric

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
        if wrong := _misshapen(truth):
            return wrong
        if np.any(strange := (truth.labels < 0) | (truth.labels >= len(self.classes))):
            return f"label {int(truth.labels[strange][0])} is not the index of one of {len(self.classes)} classes"
        limit = np.array([size[1], size[0]] * 2) + ROUNDING
        fits = (truth.boxes >= -ROUNDING) & (truth.boxes <= limit)
        inside = fits.all(axis=1) & (truth.boxes[:, :2] < truth.boxes[:, 2:]).all(axis=1)  # false for nan
        if inside.all():
            return ""
        box = [round(v, 2) for v in truth.boxes[~inside][0].tolist()]
        return f"the box from {box[:2]} to {box[2:]} is none in an image of {size[0]}x{size[1]} (height x width)"

    def summary(self, truths: Iterable[Boxes]) -> dict[str, Any]:
        """Boxes in all and per class, crowd regions, images without boxes; boxes that are repeated or tiny, if any."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        empty, crowd, odd = 0, 0, Counter[str]()
        for truth in truths:
            counts += np.bincount(truth.labels, minlength=len(self.classes))
            empty, crowd = empty + (len(truth.labels) == 0), crowd + int(truth.crowd.sum())
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
        """Nothing to find, or crowd regions alone; boxes that are repeated or hardly there."""
        boxes, crowd = summary["boxes"], summary["crowd"]
        if crowd == boxes:
            what = f"all {boxes} boxes are crowd regions (iscrowd)" if boxes else "no image has a box"
            return [Fault("", f"{what}: there is nothing to learn or to score", wrong=True)]
        again, tiny = summary.get("repeated", 0), summary.get("below_a_pixel", 0)
        kinds = {"repeat another box of their image and class": again, "are less than a pixel wide or high": tiny}
        return [Fault("", f"{n} of {boxes} boxes {what}", count=n, total=boxes) for what, n in kinds.items() if n]

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
        """Scenes of up to three boxes, whose class vector fills the cells they cover; half have padding."""
        extent = _extents(canvas, images)
        targets = [self._scene(one, generator) for one in extent]
        maps, prefix = {}, {}
        for layer in sorted({layer % info.depth for layer in layers}):
            maps[layer] = self._paint(info, layer, canvas, extent, targets, generator)
            prefix[layer] = torch.randn(images, max(1, info.prefix), info.channels[layer], generator=generator)
        return Tokens(maps, prefix, extent, canvas, info), targets

    def _scene(self, extent: Tensor, generator: torch.Generator) -> BoxTarget:
        """One to three boxes, each in a quarter of the image of its own."""
        quarters = torch.randperm(4, generator=generator)[: int(torch.randint(1, 4, (), generator=generator))]
        half = extent.flip(0) / 2  # x, y
        corner = torch.stack([quarters % 2, quarters // 2], dim=1) * half
        side = (0.6 + 0.4 * torch.rand(len(quarters), 2, generator=generator)) * half
        start = corner + torch.rand(len(quarters), 2, generator=generator) * (half - side)
        labels = torch.randint(len(self.classes), (len(quarters),), generator=generator)
        return BoxTarget(torch.cat([start, start + side], dim=1), labels, torch.zeros(len(quarters), dtype=torch.bool))

    def _paint(
        self,
        info: FeatureInfo,
        layer: int,
        canvas: tuple[int, int],
        extent: Tensor,
        targets: Sequence[BoxTarget],
        generator: torch.Generator,
    ) -> Tensor:
        """(B, C, h, w): each class's vector times the share of a cell its boxes cover, plus noise."""
        grid, stride = info.grid(canvas, layer), info.strides[layer]
        vectors = 3 * torch.randn(len(self.classes), info.channels[layer], generator=generator)
        maps = 0.3 * torch.randn(len(targets), info.channels[layer], *grid, generator=generator)
        for image, target in zip(maps, targets, strict=True):
            rows, cols = (_covered(target.boxes[:, k::2], n, stride) for k, n in ((1, grid[0]), (0, grid[1])))
            image += torch.einsum("gc,gh,gw->chw", vectors[target.labels], rows, cols)
        return maps * cell_mask(extent, stride, grid)

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Boxes:
        """One to three boxes, each in a quarter of the image of its own."""
        scene = self._scene(torch.tensor(size), generator)
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


def _misshapen(truth: Any) -> str:
    """Why an annotation does not hold boxes, labels, flags and areas of one length."""
    if not isinstance(truth, Boxes):
        return f"it is {type(truth).__name__}, not Boxes"
    shapes = [getattr(one, "shape", None) for one in (truth.boxes, truth.labels, truth.crowd, truth.area)]
    count = (shapes[1] or (0,))[0]
    if shapes != [(count, 4), (count,), (count,), (count,)] or truth.labels.dtype.kind not in "ui":
        return f"boxes, labels, crowd flags and areas are {shapes}, not (N, 4), (N,), (N,) and (N,) with whole labels"
    return ""


def _extents(canvas: tuple[int, int], images: int) -> Tensor:
    """(B, 2): whole canvases, and in turn ones padded to the right and below."""
    extent = torch.tensor(canvas).repeat(images, 1)
    extent[1::4, 1] = extent[1::4, 1] * 3 // 4
    extent[3::4, 0] = extent[3::4, 0] * 3 // 4
    return extent


def _covered(span: Tensor, cells: int, stride: int) -> Tensor:
    """(G, cells): the share of each cell of an axis that lies within spans (G, 2)."""
    start = torch.arange(cells) * stride
    overlap = torch.minimum(span[:, 1:], start + stride) - torch.maximum(span[:, :1], start)
    return overlap.clamp(min=0) / stride
