"""The task of naming the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import model_validator
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.nn import merge_passes, read_cells
from argus_core.tasks.base import ClassNames, Task, map_fault
from argus_core.tasks.calibration import Calibration, Outcomes, best_of_classes
from argus_core.tasks.example import paint_tokens
from argus_core.tasks.segment.classify import classify
from argus_core.tasks.segment.example import draw_labels, paint
from argus_core.tasks.segment.loss import DenseLogits, MaskTarget, cross_entropy
from argus_core.tasks.segment.metric import IoUMetric
from argus_core.tasks.segment.result import SegmentResult
from argus_core.tasks.segment.values import ClassMaps, Segmentation
from argus_core.tokens import FeatureInfo, Tokens

Mask = npt.NDArray[np.integer[Any]]
BINARY = 'write {{"0": 0, "{}": 1}} into remap.json and add remap=remap.json to the data spec'
"""How pixels of a single value become a class."""

PIXELS = 50
"""Pixels of an image, which resemble each other, at which confidences are compared with the truth."""


class Segment(Task):
    """Tell the class of every pixel; scored by mean intersection over union.

    A truth is an integer array (h, w) in image pixels; pixels of the index ``ignore`` are not labelled.
    """

    name: ClassVar[str] = "segment"
    mapped: ClassVar[bool] = True
    floor: ClassVar[str] = "segment.ridge"
    classes: ClassNames
    ignore: int = 255

    @model_validator(mode="after")
    def _check_ignore(self) -> Segment:
        if 0 <= self.ignore < len(self.classes):
            raise ArgusError(
                f"ignore={self.ignore} is the index of class {self.classes[self.ignore]!r}; choose another"
            )
        return self

    def target(self, truth: Mask, placement: Placement) -> MaskTarget:
        """The nearest label at every canvas pixel."""
        if fault := self.fault(truth, placement.image_size):
            raise ArgusError(f"a mask cannot be used: {fault}")
        labels = placement.map_to_canvas(truth.astype(np.int64), self.ignore, nearest=True)
        return MaskTarget(torch.from_numpy(labels))

    def loss(self, output: DenseLogits, targets: Sequence[MaskTarget]) -> dict[str, Tensor]:
        """Cross entropy at canvas resolution, the mean over labelled pixels."""
        return {"cross_entropy": cross_entropy(output, targets, self.ignore)}

    def decode(self, output: DenseLogits, canvas: tuple[int, int]) -> list[ClassMaps]:
        """The logits of each image; padding repeats the image's border."""
        return [ClassMaps(logits, output.stride) for logits in output.filled()]

    def to_image(self, prediction: ClassMaps, placement: Placement) -> Segmentation:
        """The most likely class of every image pixel."""
        return self.merge([prediction], [placement])

    @torch.no_grad()
    def merge(self, predictions: Sequence[ClassMaps], placements: Sequence[Placement]) -> Segmentation:
        """The softmax of the passes' mean logits, at image pixels, on the CPU."""
        plane = merge_passes([maps.logits for maps in predictions], predictions[0].stride, placements)
        labels, confidence = classify(plane)
        unseen = ~plane.seen_in_image()
        return Segmentation(labels.masked_fill_(unseen, self.ignore).cpu(), confidence.masked_fill_(unseen, 0).cpu())

    def calibrated(self, prediction: ClassMaps, calibration: Calibration) -> ClassMaps:
        """Calibrated logits; the labels stay."""
        return ClassMaps(calibration.logits(prediction.logits), prediction.stride)

    def outcomes(self, prediction: ClassMaps, target: MaskTarget, image: int) -> Outcomes:
        """The logits at some labelled pixels, evenly spaced in the order of rows."""
        labelled = (target.labels != self.ignore).nonzero()
        count = min(PIXELS, len(labelled))
        pixels = labelled[torch.arange(count, device=labelled.device) * len(labelled) // max(1, count)]
        logits = read_cells(prediction.logits, prediction.stride, pixels)
        return best_of_classes(logits, target.labels[pixels[:, 0], pixels[:, 1]], image)

    def result(self, prediction: Segmentation, image: npt.NDArray[np.uint8]) -> SegmentResult:
        """Labels and confidence as arrays."""
        maps = prediction.labels.numpy(), prediction.confidence.numpy()
        return SegmentResult(image, *maps, self.classes, self.ignore)

    def metric(self) -> IoUMetric:
        """Mean intersection over union."""
        return IoUMetric(self.classes, self.ignore)

    def check(self, prediction: ClassMaps, canvas: tuple[int, int]) -> None:
        """Finite floating-point logits of every class, on a grid that covers the canvas and no cell more."""
        logits, stride = prediction.logits, prediction.stride
        assert stride >= 1, f"the stride is {stride} px, not 1 or more"
        shape = (len(self.classes), *(-(-n // stride) for n in canvas))
        assert logits.shape == shape, f"logits are {tuple(logits.shape)}, expected {shape} at stride {stride}"
        assert logits.is_floating_point(), f"logits are {logits.dtype}"
        assert logits.isfinite().all(), "logits are not finite"

    def nothing(self, canvas: tuple[int, int]) -> MaskTarget:
        """Every pixel ignored."""
        return MaskTarget(torch.full(canvas, self.ignore))

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What makes a mask unusable for an image of ``size``: its type, its shape, or labels without a class."""
        if fault := map_fault(truth, size, "ui", "an integer", "the mask"):
            return fault
        strange = truth[(truth != self.ignore) & ((truth < 0) | (truth >= len(self.classes)))]
        if not len(strange):
            return ""
        values = np.unique(strange).tolist()
        shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        what = f"label {shown} ({len(strange)} pixels) is neither in 0..{len(self.classes) - 1} nor {self.ignore}"
        return what + _remedy(truth, len(self.classes))

    def summary(self, truths: Iterable[Mask]) -> dict[str, Any]:
        """The share of every class in the labelled pixels, the share of ignored pixels, and the classes never seen."""
        counts, pixels = np.zeros(len(self.classes), dtype=np.int64), 0
        for truth in truths:
            labels = truth[(truth >= 0) & (truth < len(self.classes))]
            counts += np.bincount(labels.astype(np.int64), minlength=len(self.classes))
            pixels += truth.size
        labelled = max(1, int(counts.sum()))
        return {
            "ignored_share": 1 - counts.sum().item() / max(1, pixels),
            "class_shares": {name: n / labelled for name, n in zip(self.classes, counts.tolist(), strict=True) if n},
            "classes_never_seen": [name for name, n in zip(self.classes, counts, strict=True) if not n],
        }

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """No labelled pixel, or a single class, which leaves nothing to tell apart."""
        seen, ignored = list(summary["class_shares"]), summary["ignored_share"]
        if len(seen) > 1:
            return []
        what = f"all labelled pixels are {seen[0]!r}" if seen else "no pixel is labelled"
        unseen = ", ".join(self.unseen(summary)[:3])
        what += f" ({unseen} never seen): " if unseen else ", the only class: "
        what += "there is nothing to tell apart"
        if ignored:
            what += f"; {ignored:.1%} of the pixels are {self.ignore}, which is ignored"
        if ignored and seen:
            what += f": if it marks the objects, {BINARY.format(self.ignore)}"
        return [Fault("", what, wrong=True)]

    def unseen(self, summary: Mapping[str, Any]) -> list[str]:
        """Classes without a labelled pixel."""
        return list(summary["classes_never_seen"])

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[MaskTarget]]:
        """Quarters of one class each, whose vector fills their cells; half of the images have padding."""
        labels, extent = draw_labels(len(self.classes), self.ignore, canvas, images, generator)
        tokens = paint_tokens(
            info,
            layers,
            canvas,
            extent,
            generator,
            lambda layer: paint(labels, len(self.classes), info, layer, generator),
        )
        return tokens, [MaskTarget(mask) for mask in labels]

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Mask:
        """Quarters of one class each, and a few pixels that are not labelled."""
        return draw_labels(len(self.classes), self.ignore, size, 1, generator)[0][0].numpy()

    def perfect(self, truth: Mask, placement: Placement) -> ClassMaps:
        """High logits of the labels at every canvas pixel, equal ones where there is no label."""
        labels = self.target(truth, placement).labels
        classes = torch.arange(len(self.classes))[:, None, None]
        return ClassMaps(20.0 * (labels == classes), 1)

    @classmethod
    def small(cls) -> Segment:
        """Three classes."""
        return cls(classes=("sky", "ground", "thing"))


def _remedy(truth: Mask, classes: int) -> str:
    """What the strange labels of a mask probably mean, and what to do about them; empty where that is not clear."""
    values = np.unique(truth).tolist()
    if len(values) == 2 and values[0] == 0 and values[1] > classes:
        return f"; if {values[1]} marks the objects, {BINARY.format(values[1])}"
    if values[0] > 0 and values[-1] == classes:
        return "; if classes are counted from 1, write [255, 0, 1, ...] into remap.json and add remap=remap.json"
    if len(values) > 2 * classes:
        return "; grey levels are not class indices: was the mask resized, or saved as JPEG?"
    return ""
