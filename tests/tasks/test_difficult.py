"""Difficult objects: scored as Pascal VOC's devkit does, by an oracle written here and by pycocotools without them."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.ops import box_iou

from argus_core.canvas import Canvas
from argus_core.detection import ATSS, IGNORE, assign, grid_points
from argus_core.tasks.detect import Boxes, CocoMetric, Detect, Detections
from argus_core.tasks.detect.metric import Backend

CLASSES = ("cat", "dog")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
Scored = list[tuple[str, Detections, Boxes]]


def boxes(rows: list[list[float]], labels: list[int], difficult: list[bool]) -> Boxes:
    array = np.array(rows, dtype=np.float64).reshape(-1, 4)
    area = np.prod(array[:, 2:] - array[:, :2], axis=1)
    none = np.zeros(len(labels), dtype=bool)
    return Boxes(array, np.array(labels, dtype=np.int64), none, area, np.array(difficult, dtype=bool))


def found(rows: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(torch.tensor(rows).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels).long())


def random_images(seed: int, images: int = 10) -> Scored:
    """Objects in cells of their own, a third of them difficult; each is missed, found once or several times."""
    rng = np.random.default_rng(seed)
    scored: Scored = []
    for number in range(images):
        corner = 120.0 * np.stack(np.meshgrid(range(3), range(3)), -1).reshape(-1, 2)[: rng.integers(0, 9)]
        start = corner + rng.uniform(2, 20, corner.shape)
        truth = np.concatenate([start, start + rng.uniform(40, 80, corner.shape)], 1)
        labels = rng.integers(0, 2, len(truth))
        hits = rng.integers(0, 4, len(truth))
        guess = truth.repeat(hits, axis=0) + rng.normal(0, 4, (hits.sum(), 4))
        corners = rng.uniform(0, 200, (3, 2))
        rows = np.concatenate([guess, np.concatenate([corners, corners + 50], axis=1)])
        named = np.concatenate([labels.repeat(hits), rng.integers(0, 2, 3)])
        scores = np.sort(rng.random(len(rows)))[::-1].copy()
        order = rng.permutation(len(rows))
        one = found(rows[order].tolist(), scores.tolist(), named[order].tolist())
        difficult = rng.random(len(truth)) < 0.35
        scored.append((f"{number:02}", one, boxes(truth.tolist(), labels.tolist(), difficult.tolist())))
    return scored


def devkit_ap(scored: Scored, label: int, threshold: float) -> float:
    """AP at one overlap by the rules of VOC's devkit, on COCO's 101 points of recall; nan without objects."""
    needed = sum(int((t.labels == label)[~t.difficult].sum()) for _, _, t in scored)
    if not needed:
        return float("nan")
    marks: list[tuple[float, bool]] = []
    for _, detections, truth in scored:
        mine, real = detections.labels == label, truth.labels == label
        overlap = box_iou(detections.boxes[mine].double(), torch.from_numpy(truth.boxes[real])).numpy()
        difficult, taken = truth.difficult[real], np.zeros(int(real.sum()), dtype=bool)
        for row, score in zip(overlap, detections.scores[mine].tolist(), strict=True):
            best = int(row.argmax()) if len(row) else -1
            if best < 0 or row[best] < threshold:
                marks.append((score, False))
            elif not difficult[best]:
                marks.append((score, not taken[best]))
                taken[best] = True
    hits = np.array([hit for _, hit in sorted(marks, key=lambda mark: -mark[0])], dtype=float)
    true = np.cumsum(hits)
    recall, precision = true / needed, true / np.arange(1, len(hits) + 1)
    return float(np.mean([precision[recall >= point].max(initial=0) for point in np.linspace(0, 1, 101)]))


def ap_without_them(scored: Scored, threshold: float) -> float:
    """pycocotools' AP at one overlap on files without difficult objects and the detections on them."""
    annotations, results = [], []
    for image, (_, detections, truth) in enumerate(scored, start=1):
        overlap = box_iou(detections.boxes.double(), torch.from_numpy(truth.boxes)).numpy()
        on_difficult = overlap * (detections.labels.numpy()[:, None] == truth.labels) * truth.difficult >= threshold
        kept = ~on_difficult.any(axis=1)
        for box, label in zip(truth.boxes[~truth.difficult], truth.labels[~truth.difficult], strict=True):
            x, y, x2, y2 = box.tolist()
            row = {"image_id": image, "category_id": int(label), "bbox": [x, y, x2 - x, y2 - y]}
            annotations.append({**row, "id": len(annotations) + 1, "area": (x2 - x) * (y2 - y), "iscrowd": 0})
        for box, score, label in zip(
            detections.boxes[kept].double().tolist(),
            detections.scores[kept].tolist(),
            detections.labels[kept].tolist(),
            strict=True,
        ):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            results.append({"image_id": image, "category_id": label, "bbox": bbox, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{"id": i, "width": 400, "height": 400} for i in range(1, len(scored) + 1)]
        categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
        coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.iouThrs = np.array([threshold])
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"][:, :, :, 0, -1].mean())


def score(scored: Scored, backend: Backend = "pycocotools") -> dict[str, float]:
    metric = CocoMetric(CLASSES, backend)
    for one in scored:
        metric.update(*one)
    return metric.compute()


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_devkits_rules(seed: int) -> None:
    scored = random_images(seed)
    scores = score(scored)
    table = np.array([[devkit_ap(scored, label, t) for t in THRESHOLDS] for label in range(2)])
    assert scores["AP"] == pytest.approx(table.mean(), abs=1e-9) and 0.2 < table.mean() < 0.8
    assert scores["AP50"] == pytest.approx(table[:, 0].mean(), abs=1e-9)
    assert [scores[f"AP/{name}"] for name in CLASSES] == pytest.approx(table.mean(axis=1).tolist(), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_files_without_them(seed: int) -> None:
    scored = random_images(seed + 10)
    scores = score(scored)
    for name, threshold in (("AP50", 0.5), ("AP75", 0.75)):
        assert scores[name] == pytest.approx(ap_without_them(scored, threshold), abs=1e-9)
    plain = [(key, one, replace(truth, difficult=truth.crowd)) for key, one, truth in scored]
    crowds = [(key, one, replace(truth, crowd=truth.difficult, difficult=truth.crowd)) for key, one, truth in scored]
    assert len({round(score(kind)["AP"], 6) for kind in (scored, plain, crowds)}) > 1


def test_the_faster_backend_agrees() -> None:
    pytest.importorskip("faster_coco_eval", reason="the fast-eval extra is not installed")
    scored = random_images(20)
    assert score(scored, "faster") == pytest.approx(score(scored), abs=1e-9, nan_ok=True)


def test_any_number_of_matches_is_forgiven_and_what_only_lies_inside_is_not() -> None:
    rows = [[0.0, 0.0, 50.0, 50.0], [100.0, 0.0, 300.0, 200.0]]
    truth, crowd = boxes(rows, [0, 0], [False, True]), boxes(rows, [0, 0], [False, False])
    crowd = replace(crowd, crowd=truth.difficult)
    twice = found([rows[1], rows[1], rows[0]], [0.9, 0.8, 0.7], [0, 0, 0])
    inside = found([[120.0, 20.0, 160.0, 60.0], rows[0]], [0.9, 0.7], [0, 0])
    assert score([("a", twice, truth)])["AP"] == score([("a", twice, crowd)])["AP"] == pytest.approx(1)
    assert score([("a", inside, crowd)])["AP"] == pytest.approx(1)
    assert score([("a", inside, truth)])["AP"] == pytest.approx(0.5)


def test_an_object_that_must_be_found_goes_first() -> None:
    truth = boxes([[0.0, 0.0, 50.0, 50.0], [0.0, 0.0, 50.0, 56.0]], [0, 0], [False, True])
    assert score([("a", found([[0.0, 0.0, 50.0, 55.0]], [0.9], [0]), truth)])["AP50"] == pytest.approx(1)


def test_states_survive_json_and_crowds_stay_crowds() -> None:
    scored = random_images(5)
    parts = []
    for part in (scored[:4], scored[4:]):
        metric = CocoMetric(CLASSES)
        for one in part:
            metric.update(*one)
        parts.append(json.loads(json.dumps(metric.state())))
    merged = CocoMetric(CLASSES)
    merged.merge(parts)
    assert merged.compute() == score(scored)
    both = [(key, one, replace(truth, crowd=truth.difficult)) for key, one, truth in scored]
    crowds = [(key, one, replace(truth, difficult=np.zeros_like(truth.crowd))) for key, one, truth in both]
    assert score(both) == pytest.approx(score(crowds), nan_ok=True)


def test_nothing_is_learned_from_them() -> None:
    task = Detect(classes=CLASSES)
    truth = boxes([[0.0, 0.0, 40.0, 40.0], [60.0, 60.0, 124.0, 124.0]], [0, 1], [False, True])
    placement = Canvas(128, 128).place(128, 128)
    target = task.target(truth, placement)
    assert target.crowd.tolist() == [False, True]
    points = grid_points([(16, 16)], [8], torch.device("cpu"))
    matched = assign(ATSS(), points, target, torch.tensor([128, 128])).view(16, 16)
    assert (matched[9:15, 9:15] == IGNORE).all() and set(matched.unique().tolist()) == {IGNORE, -1, 0}
    perfect = task.perfect(truth, placement)
    assert perfect.labels.tolist() == [0] and score([("a", perfect, truth)])["AP"] == pytest.approx(1)


def test_they_are_counted_and_told() -> None:
    task = Detect(classes=CLASSES)
    truth = boxes([[0.0, 0.0, 40.0, 40.0], [60.0, 60.0, 124.0, 124.0]], [0, 1], [False, True])
    summary = task.summary([truth])
    assert (summary["boxes"], summary["crowd"], summary["difficult"]) == (2, 0, 1) and not task.faults(summary)
    (fault,) = task.faults(task.summary([replace(truth, difficult=np.ones(2, dtype=bool))]))
    assert fault.wrong and "all 2 boxes are difficult" in str(fault)
    mixed = replace(truth, crowd=~truth.difficult)
    assert "all 2 boxes are crowd regions (iscrowd) or difficult" in str(task.faults(task.summary([mixed]))[0])
    assert "difficult" not in task.summary([replace(truth, difficult=np.zeros(2, dtype=bool))])
    assert "four times" in task.fault(replace(truth, difficult=np.zeros(3, dtype=bool)), (128, 128))


def test_annotations_of_before_have_none() -> None:
    plain = Boxes(np.zeros((2, 4)), np.zeros(2, dtype=np.int64), np.array([False, True]), np.ones(2))
    assert plain.difficult.tolist() == [False, False] and plain.ignored.tolist() == [False, True]
