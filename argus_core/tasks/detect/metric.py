"""COCO's average precision and recall, by pycocotools or its faster reimplementation."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from argus_core.errors import ArgusError, unknown
from argus_core.tasks.contributions import Contributions, Rescore
from argus_core.tasks.detect.resample import asked, image_results, rescore
from argus_core.tasks.detect.values import Boxes, Detections
from argus_core.tasks.metric import RecordMetric

Backend = Literal["pycocotools", "faster"]
Image = dict[str, list[Any]]
"""The columns of one image: its detections, and its annotations."""
NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""The order of COCO's twelve summary numbers."""
TRUTH = {"category_id": "labels", "iscrowd": "ignored", "difficult": "difficult", "area": "area"}
DETECTED = {"category_id": "detected_labels", "score": "scores", "area": "detected_area"}
"""The fields of COCO's annotations and of its results, and the columns that fill them."""


class CocoMetric(RecordMetric[Image]):
    """Mean AP over IoU .5 to .95 and its relatives, all in 0..1; ``AP/<class>`` is for one class.

    A score without any annotation to find, such as ``AP_small`` without small objects, is nan. A detection whose best
    partner is a difficult object counts neither way, as in Pascal VOC's devkit: objects that must be found come first.
    ``backend="faster"`` needs the ``fast-eval`` extra and gives the same numbers.
    """

    primary = "AP"
    protocol = "coco-bbox-1"

    def __init__(self, classes: Sequence[str], backend: Backend = "pycocotools") -> None:
        if backend not in get_args(Backend):
            raise unknown("backend", backend, get_args(Backend))
        super().__init__()
        self.classes = tuple(classes)
        self.backend = backend

    def update(self, key: str, prediction: Detections, truth: Boxes) -> None:
        """Add one image's detections and annotations, both in image pixels."""
        boxes = prediction.boxes.double().cpu().numpy()
        columns = {
            "detected": boxes,
            "detected_labels": prediction.labels.cpu().numpy(),
            "detected_area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
            "scores": prediction.scores.double().cpu().numpy(),
            "boxes": truth.boxes,
            "labels": truth.labels,
            "ignored": truth.ignored.astype(np.int64),
            "difficult": truth.difficult & ~truth.crowd,
            "area": truth.area,
        }
        self.add(key, {name: values.tolist() for name, values in columns.items()})

    def compute(self) -> dict[str, float]:
        """COCO's twelve numbers and the AP of every class."""
        if not any(image["boxes"] for image in self.records()):
            return dict.fromkeys((*NAMES, *(f"AP/{name}" for name in self.classes)), math.nan)
        evaluation = self._evaluate(self.backend)
        scores = dict(zip(NAMES, evaluation.stats[: len(NAMES)], strict=True))
        precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class): any size, 100 boxes
        for index, name in enumerate(self.classes):
            defined = precision[:, :, index][precision[:, :, index] > -1]
            scores[f"AP/{name}"] = defined.mean() if defined.size else -1
        return {name: math.nan if value < 0 else float(value) for name, value in scores.items()}

    def contributions(self) -> Contributions:
        """What pycocotools, whatever the backend, finds in every image: see ``image_results``."""
        return image_results(self._evaluate("pycocotools", scored=False), self.keys(), len(self.classes))

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """Any of COCO's twelve numbers, or the AP of a class."""
        wanted = asked(score, self.classes)
        return rescore(kept, wanted) if wanted else None

    def _evaluate(self, backend: Backend, scored: bool = True) -> Any:
        """An evaluation of all images; not ``scored``, it only has its results of each image."""
        coco, evaluator = _backend(backend)
        images = self.records()  # in order of key: the number of an image breaks ties between scores
        if any(any(image["difficult"]) for image in images):
            evaluator = _with_difficult(evaluator)
        with contextlib.redirect_stdout(io.StringIO()):  # both libraries report their progress by print
            truth = self._index(coco, len(images), _rows(images, "boxes", TRUTH))
            detected = self._index(coco, len(images), _rows(images, "detected", DETECTED))
            evaluation = evaluator(truth, detected, "bbox")
            evaluation.evaluate()
            if scored:
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
    """COCO annotations from the columns of every image; ``columns`` maps COCO's fields to them."""
    return [
        {"image_id": i, "bbox": [x1, y1, x2 - x1, y2 - y1], **dict(zip(columns, values, strict=True))}
        for i, image in enumerate(images)
        for (x1, y1, x2, y2), *values in zip(image[boxes], *(image[name] for name in columns.values()), strict=True)
    ]


def _with_difficult(evaluator: Any) -> Any:
    """A COCOeval class that ignores difficult objects as it does crowds, except that their overlap is the plain IoU."""

    class Evaluation(evaluator):  # type: ignore[misc]
        def computeIoU(self, image: int, category: int) -> Any:
            difficult = [row for row in self.cocoGt.imgToAnns[image] if row["difficult"]]
            for row in difficult:
                row["iscrowd"] = 0
            overlap = super().computeIoU(image, category)
            for row in difficult:
                row["iscrowd"] = 1
            return overlap

    return Evaluation


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
