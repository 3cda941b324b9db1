"""Every readable hostile image in one batch through one backbone pass, and mixed sizes together as one by one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hostile_files import every_case

from argus_core import Argus, Canvas, build_head, load_backbone
from argus_core.tasks.classify import Classify
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment

CANVAS = Canvas(64, 48)
HEADS = {
    "boxes": ("detect.fcos", Detect.small(), {"width": 16, "depth": 1}),
    "classes": ("classify.linear", Classify.small(), {}),
    "regions": ("segment.linear", Segment.small(), {"layers": [5, -1]}),
    "distance": ("depth.linear", Depth.small(), {"bins": 32}),
}
SIZES = ((1, 1), (1, 5000), (5000, 1), (3, 4), (64, 48), (128, 96), (65, 49), (63, 47))
SIZES += ((16, 16), (17, 15), (640, 480), (480, 640), (31, 200), (200, 31), (64, 96), (333, 222))


@pytest.fixture(scope="module")
def argus():
    """Heads whose parameters are all moved off their start, so that they find something."""
    backbone = load_backbone("tiny")
    torch.manual_seed(0)
    heads = {key: build_head(name, backbone.info, task, options) for key, (name, task, options) in HEADS.items()}
    with torch.no_grad():
        for head in heads.values():
            for values in head.parameters():
                values.add_(torch.randn_like(values) * 0.1)
    return Argus(backbone, heads, CANVAS)


def check(key, found, height, width):
    """A prediction is finite and lies inside its image."""
    for field in fields(found):
        assert getattr(found, field.name).isfinite().all()
    if key == "boxes":
        x, y = found.boxes.reshape(-1, 2, 2).unbind(2)
        assert (x >= 0).all() and (x <= width).all() and (y >= 0).all() and (y <= height).all()
        assert (x[:, 0] <= x[:, 1]).all() and (y[:, 0] <= y[:, 1]).all()
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
    elif key == "regions":
        assert found.labels.shape == found.confidence.shape == (height, width)
        assert ((found.labels >= 0) & (found.labels < len(Segment.small().classes))).all()
        assert ((found.confidence > 0) & (found.confidence <= 1)).all()
    elif key == "distance":
        assert found.depth.shape == found.uncertainty.shape == (height, width)
        assert ((found.depth > 0) & (found.uncertainty >= 0)).all()


@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_all_that_can_be_read_goes_through_in_one_batch(argus, tmp_path):
    cases = [(case, case.put(tmp_path)) for case in every_case() if not case.error]
    found = argus([source for _, source in cases])
    assert sorted(found) == sorted(HEADS) and sum(len(each.scores) for each in found["boxes"]) > len(cases)
    for key, predictions in found.items():
        for (case, source), prediction in zip(cases, predictions, strict=True):
            check(key, prediction, *case.pixels.shape[:2])
            getattr(source, "close", bool)()


def test_sixteen_mixed_sizes_are_answered_as_one_by_one(argus):
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    together = argus(images)
    alone = [argus([image]) for image in images]
    assert len(images) == 16 and sum(len(each.scores) for each in together["boxes"]) > 16
    for key, predictions in together.items():
        for one, prediction, size in zip(alone, predictions, SIZES, strict=True):
            for field in fields(prediction):
                got, expected = (getattr(each, field.name) for each in (prediction, one[key][0]))
                atol = 1e-4 * (max(size) if field.name == "boxes" else 1)
                torch.testing.assert_close(got, expected, rtol=0, atol=atol, msg=lambda m, k=key: f"{k}: {m}")
