"""COCO's numbers: against pycocotools on its own files, by hand, and whatever order or process they come from."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes, CocoMetric, Detections
from argus_core.tasks.detect.metric import NAMES, Backend

CLASSES = ("cat", "dog", "emu")
Scored = list[tuple[str, Detections, Boxes]]


def truth(boxes: list[list[float]], labels: list[int], crowd: list[bool] | None = None, shrink: float = 1) -> Boxes:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    area = (array[:, 2] - array[:, 0]) * (array[:, 3] - array[:, 1]) * shrink
    return Boxes(array, np.array(labels, dtype=np.int64), np.array(crowd or [False] * len(labels), dtype=bool), area)


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels).long())


def random_images(seed: int, images: int = 12) -> Scored:
    """Annotations of all sizes, some crowds, masks smaller than boxes; detections jittered, missed and invented."""
    rng = np.random.default_rng(seed)
    scored = []
    for number in range(images):
        count = int(rng.integers(0, 8))
        start, side = rng.uniform(0, 300, (count, 2)), np.exp(rng.uniform(np.log(10), np.log(250), (count, 2)))
        boxes, labels = np.concatenate([start, start + side], 1), rng.integers(0, 3, count)
        annotated = truth(boxes.tolist(), labels.tolist(), (rng.random(count) < 0.15).tolist(), shrink=0.7)
        kept = np.tile(rng.random(count) < 0.8, 2)
        guess = np.concatenate([boxes + rng.normal(0, 0.08, (count, 4)) * np.tile(side, 2), boxes + 60])[kept]
        scores = np.sort(np.round(rng.random(len(guess)), 1))[::-1]  # many ties
        named = np.concatenate([labels, rng.integers(0, 3, count)])[kept]
        scored.append((f"image{number:02}", found(guess.tolist(), scores.tolist(), named.tolist()), annotated))
    return scored


def score(scored: Scored, backend: Backend = "pycocotools") -> dict[str, float]:
    metric = CocoMetric(CLASSES, backend)
    for one in scored:
        metric.update(*one)
    return metric.compute()


def plain_pycocotools(scored: Scored, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The twelve numbers and the precision array from an annotation file and a result list, as COCO prescribes."""
    annotations, results = [], []
    for image, (_, detections, annotated) in enumerate(scored, start=1):
        for i, box in enumerate(annotated.boxes):
            x, y, x2, y2 = box.tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(annotated.labels[i]) + 1,
                    "bbox": [x, y, x2 - x, y2 - y],
                    "area": float(annotated.area[i]),
                    "iscrowd": int(annotated.crowd[i]),
                }
            )
        for box, value, label in zip(
            detections.boxes.double().tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
        ):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            results.append({"image_id": image, "category_id": label + 1, "bbox": bbox, "score": value})
    images = [{"id": i, "width": 600, "height": 600} for i in range(1, len(scored) + 1)]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    path = folder / "truth.json"
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations, "categories": categories}))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_those_of_a_coco_file(seed: int, tmp_path: Path) -> None:
    scored = random_images(seed)
    stats, precision = plain_pycocotools(scored, tmp_path)
    scores = score(scored)
    assert [scores[name] for name in NAMES] == pytest.approx(stats.tolist(), abs=1e-12)
    assert 0.05 < scores["AP"] < 0.95
    for index, name in enumerate(CLASSES):
        assert scores[f"AP/{name}"] == pytest.approx(precision[:, :, index, 0, 2].mean(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_faster_backend_agrees(seed: int) -> None:
    pytest.importorskip("faster_coco_eval", reason="the fast-eval extra is not installed")
    scored = random_images(seed)
    assert score(scored, "faster") == pytest.approx(score(scored), abs=1e-9, nan_ok=True)


def test_perfect_detections() -> None:
    boxes, labels = [[0.0, 0.0, 20.0, 20.0], [50.0, 50.0, 100.0, 120.0], [0.0, 0.0, 300.0, 200.0]], [0, 1, 2]
    scores = score([("a", found(boxes, [0.9, 0.8, 0.7], labels), truth(boxes, labels))])
    assert all(value == pytest.approx(1) for value in scores.values())


def test_by_hand() -> None:
    """Of four objects the first two are found, between them a false alarm: precision 1, then 2/3."""
    boxes = [[float(x), 0.0, x + 50.0, 50.0] for x in (0, 100, 200, 300)]
    guess = [boxes[0], [0.0, 300.0, 50.0, 350.0], boxes[1]]
    scores = score([("a", found(guess, [0.9, 0.8, 0.7], [0, 0, 0]), truth(boxes, [0] * 4))])
    # Interpolated precision at recall 0, .01 ... 1: 26 points up to 1/4 at 1, 25 up to 1/2 at 2/3.
    assert scores["AP"] == pytest.approx((26 + 25 * 2 / 3) / 101) == scores["AP/cat"]
    assert scores["AR1"] == 0.25 and scores["AR10"] == scores["AR100"] == 0.5
    assert all(math.isnan(scores[name]) for name in ("AP/dog", "AP/emu", "AP_small", "AP_large", "AR_small"))


def test_iou_decides() -> None:
    boxes = [[0.0, 0.0, 100.0, 100.0]]
    scores = score([("a", found([[0.0, 0.0, 100.0, 72.0]], [0.9], [0]), truth(boxes, [0]))])
    assert scores["AP50"] == pytest.approx(1) and scores["AP75"] == 0
    assert scores["AP"] == pytest.approx(0.5)  # .5 .55 .6 .65 .7


def test_size_is_the_annotated_area() -> None:
    boxes = [[0.0, 0.0, 40.0, 40.0]]  # 1600 px² of box, 800 of mask: small below 32²
    scores = score([("a", found(boxes, [0.9], [0]), truth(boxes, [0], shrink=0.5))])
    assert scores["AP_small"] == pytest.approx(1) and math.isnan(scores["AP_medium"])


def test_detections_on_a_crowd_are_forgiven() -> None:
    boxes, crowd = [[0.0, 0.0, 50.0, 50.0], [100.0, 0.0, 300.0, 200.0]], [False, True]
    inside = [[120.0, 20.0, 160.0, 60.0], [180.0, 20.0, 220.0, 60.0]]
    guess = found([*inside, boxes[0]], [0.9, 0.8, 0.7], [0, 0, 0])
    assert score([("a", guess, truth(boxes, [0, 0], crowd))])["AP"] == pytest.approx(1)
    assert score([("a", guess, truth(boxes[:1], [0]))])["AP"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("annotated", [truth([], []), truth([[0.0, 0.0, 9.0, 9.0]], [1])])
def test_without_detections(annotated: Boxes) -> None:
    scores = score([("a", found([], [], []), annotated)])
    assert math.isnan(scores["AP"]) if not len(annotated.boxes) else scores["AP"] == scores["AR100"] == 0


def test_empty() -> None:
    scores = CocoMetric(CLASSES).compute()
    assert all(map(math.isnan, scores.values())) and set(NAMES) < set(scores)
    crowd_only = [("a", found([], [], []), truth([[0.0, 0.0, 9.0, 9.0]], [0], [True]))]
    assert math.isnan(score(crowd_only)["AP"])


def test_merged_processes_score_the_same_in_any_order() -> None:
    scored = random_images(5)
    parts = []
    for part in (scored[7:], scored[:4], scored[4:7]):
        metric = CocoMetric(CLASSES)
        for one in reversed(part):
            metric.update(*one)
        parts.append(json.loads(json.dumps(metric.state())))
    merged = CocoMetric(CLASSES)
    merged.update(*scored[0])
    merged.merge(parts)
    assert merged.compute() == pytest.approx(score(scored), abs=0, nan_ok=True)


def test_an_image_counts_once() -> None:
    one, two = random_images(0)[:2]
    metric, other = CocoMetric(CLASSES), CocoMetric(CLASSES)
    metric.update(*one)
    with pytest.raises(ArgusError, match="'image00' is counted twice"):
        metric.update(*one)
    other.update(*two)
    other.update(*one)
    with pytest.raises(ArgusError, match="image00"):
        metric.merge([metric.state(), other.state()])


@pytest.mark.parametrize("backend", ["pycocotools", "faster"])
def test_it_is_silent(backend: Backend, capfd: pytest.CaptureFixture[str]) -> None:
    if backend == "faster":
        pytest.importorskip("faster_coco_eval", reason="the fast-eval extra is not installed")
    score(random_images(1), backend)
    assert capfd.readouterr() == ("", "")


def test_unknown_backend() -> None:
    with pytest.raises(ArgusError, match="did you mean 'faster'"):
        CocoMetric(CLASSES, "fastr")  # type: ignore[arg-type]
