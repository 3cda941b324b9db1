"""One set of boxes in three formats, as another program writes them: the same truth, digest and score."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.plugins.data_spec import open_data
from argus_core.tasks.detect import Detections
from coco_folders import paint

CLASSES = ["ring", "disc", "brush"]
SPLITS = ("train", "val")
SIZES = {"a.png": (48, 64), "b.png": (60, 45), "c.png": (31, 33)}
COLUMNS = ("boxes", "labels", "crowd", "difficult", "area")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The data sets by format, as supervision writes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        supervision = pytest.importorskip("supervision")
    root, random = tmp_path_factory.mktemp("formats"), np.random.default_rng(0)
    for split in SPLITS:
        paths, found = {}, {}
        for number, (name, (height, width)) in enumerate(SIZES.items()):
            path = root / "source" / split / name
            paint(path, height, width, number + 10 * len(split))
            start = random.integers(0, (width - 9, height - 9), (number, 2))
            size = random.integers(2, 9, (number, 2))
            boxes = np.concatenate([start, start + size], axis=1).astype(np.float32)
            paths[str(path)] = boxes
            found[str(path)] = supervision.Detections(xyxy=boxes, class_id=random.integers(0, 3, number))
        source = supervision.DetectionDataset(CLASSES, list(paths), found)
        coco, yolo, voc = root / "coco" / split, root / "yolo" / split, root / "voc" / split
        source.as_coco(str(coco), str(coco / "_annotations.coco.json"))
        source.as_yolo(str(yolo / "images"), str(yolo / "labels"), str(root / "yolo/data.yaml"))
        source.as_pascal_voc(str(voc), str(voc))
    (root / "voc/classes.txt").write_text("\n".join(CLASSES))
    return {name: open_data(str(root / name)) for name in ("coco", "yolo", "voc")}


@pytest.mark.parametrize("name", ["yolo", "voc"])
@pytest.mark.parametrize("split", SPLITS)
def test_the_truth_is_the_same(sets, name, split):
    ours, coco = sets[name][split], sets["coco"][split]
    assert len(ours) == 3 and [ours.key(n) for n in range(3)] == [coco.key(n) for n in range(3)] == list(SIZES)
    for n in range(3):
        assert ours.digest(n) == coco.digest(n)
        for column in COLUMNS:
            mine, theirs = getattr(ours.truth(n, "detect"), column), getattr(coco.truth(n, "detect"), column)
            assert mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes(), column
    assert ours.tasks == coco.tasks and ours.annotation_digest() == coco.annotation_digest()


def test_the_score_is_the_same(sets):
    scores = {}
    for name, data in sets.items():
        split, generator = data["val"], torch.Generator().manual_seed(0)
        task = split.tasks["detect"]
        metric = task.metric()
        for n in range(len(split)):
            truth, shape = split.truth(n, "detect"), split.read(n).shape[:2]
            perfect = task.perfect(truth, Canvas(*shape).place(*shape))
            shifted = perfect.boxes + torch.randn(perfect.boxes.shape, generator=generator)
            confidence, order = torch.rand(len(shifted), generator=generator).sort(descending=True)
            metric.update(split.key(n), Detections(shifted[order], confidence, perfect.labels[order]), truth)
        scores[name] = metric.compute()
    assert scores["coco"]["AP"] > 0
    assert scores["yolo"] == scores["voc"] == scores["coco"]
