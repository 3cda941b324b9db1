"""COCO's average precision and recall, by pycocotools or its faster reimplementation."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError, unknown
from argus_core.tasks.base import Metric

if TYPE_CHECKING:
    from argus_core.tasks.detect.values import Boxes, Detections


Backend = Literal["pycocotools", "faster"]
Image = dict[str, npt.NDArray[Any]]
NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""The order of COCO's twelve summary numbers."""
TRUTH = {"category_id": "labels", "iscrowd": "crowd", "area": "area"}
FOUND = {"category_id": "found_labels", "score": "scores", "area": "found_area"}


class CocoMetric(Metric):
    """Mean AP over IoU .5 to .95 and its relatives, all in 0..1; ``AP/<class>`` is one class's.

    A score without any annotation to find, such as ``AP_small`` without small objects, is nan.
    ``backend="faster"`` needs the ``fast-eval`` extra and gives the same numbers.
    """

    primary = "AP"
    protocol = "coco-bbox-1"

    def __init__(self, classes: Sequence[str], backend: Backend = "pycocotools") -> None:
        if backend not in get_args(Backend):
            raise unknown("backend", backend, get_args(Backend))
        self.classes = tuple(classes)
        self.backend = backend
        self._images: dict[str, Image] = {}

    def update(self, key: str, prediction: Detections, truth: Boxes) -> None:
        """Add one image's detections and annotations, both in image pixels."""
        if key in self._images:
            raise ArgusError(f"image {key!r} is counted twice; give each image once")
        found = prediction.boxes.double().cpu().numpy()
        self._images[key] = {
            "found": found,
            "found_labels": prediction.labels.cpu().numpy(),
            "found_area": (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1]),
            "scores": prediction.scores.double().cpu().numpy(),
            "boxes": truth.boxes,
            "labels": truth.labels,
            "crowd": truth.crowd.astype(np.int64),
            "area": truth.area,
        }

    def compute(self) -> dict[str, float]:
        """COCO's twelve numbers and the AP of every class."""
        if not any(len(image["boxes"]) for image in self._images.values()):
            return dict.fromkeys((*NAMES, *(f"AP/{name}" for name in self.classes)), math.nan)
        evaluation = self._evaluate()
        scores = dict(zip(NAMES, evaluation.stats[: len(NAMES)], strict=True))
        precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class): any size, 100 boxes
        for index, name in enumerate(self.classes):
            defined = precision[:, :, index][precision[:, :, index] > -1]
            scores[f"AP/{name}"] = defined.mean() if defined.size else -1
        return {name: math.nan if value < 0 else float(value) for name, value in scores.items()}

    def state(self) -> dict[str, dict[str, list[Any]]]:
        """Per image key, what was added, as lists."""
        return {key: {name: values.tolist() for name, values in image.items()} for key, image in self._images.items()}

    def merge(self, states: Sequence[dict[str, dict[str, list[Any]]]]) -> None:
        """Replace what was added by the union of ``states``; an image in two of them raises ArgusError."""
        self._images = {}
        for state in states:
            twice = sorted(state.keys() & self._images.keys())
            if twice:
                raise ArgusError(f"images {twice[:3]} are counted twice; split the data set without overlap")
            self._images |= {key: _restore(image) for key, image in state.items()}

    def _evaluate(self) -> Any:
        coco, evaluator = _backend(self.backend)
        # Ties between scores are broken by the image's number: by key, so that no order of adding matters.
        images = [self._images[key] for key in sorted(self._images)]
        with contextlib.redirect_stdout(io.StringIO()):  # both libraries report their progress by print
            truth = self._index(coco, len(images), _rows(images, "boxes", TRUTH))
            found = self._index(coco, len(images), _rows(images, "found", FOUND))
            evaluation = evaluator(truth, found, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation

    def _index(self, coco: Any, images: int, rows: list[dict[str, Any]]) -> Any:
        """A COCO object of annotations, numbered from 1: 0 means unmatched to pycocotools."""
        index = coco()
        index.dataset = {
            "images": [{"id": i} for i in range(images)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.classes)],
            "annotations": [{"id": i, **row} for i, row in enumerate(rows, start=1)],
        }
        index.createIndex()
        return index


def _rows(images: Sequence[Image], boxes: str, columns: dict[str, str]) -> list[dict[str, Any]]:
    """COCO annotations from the arrays of every image; ``columns`` names COCO's fields and ours."""
    return [
        {"image_id": i, "bbox": box, **dict(zip(columns, values, strict=True))}
        for i, image in enumerate(images)
        for box, *values in zip(_xywh(image[boxes]), *(image[name].tolist() for name in columns.values()), strict=True)
    ]


def _xywh(boxes: npt.NDArray[Any]) -> list[list[float]]:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def _restore(image: dict[str, list[Any]]) -> Image:
    """The inverse of what ``state`` does to an image; empty lists have lost shape and type."""
    whole, pairs = ("found_labels", "labels", "crowd"), ("found", "boxes")
    arrays = {k: np.asarray(v, dtype=np.int64 if k in whole else np.float64) for k, v in image.items()}
    return {k: v.reshape(-1, 4) if k in pairs else v for k, v in arrays.items()}


def _backend(name: Backend) -> tuple[Any, Any]:
    """The COCO and COCOeval classes of a backend."""
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    try:
        from faster_coco_eval import COCO as FastCOCO
        from faster_coco_eval import COCOeval_faster
    except ImportError as error:
        raise ArgusError("backend 'faster' needs faster-coco-eval: pip install argus-perception[fast-eval]") from error
    return FastCOCO, COCOeval_faster
