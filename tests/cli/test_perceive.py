"""One question for everything: maps of confidence, passes, stored tokens, and detections for other packages."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from argus_core import Argus, ArgusError, Canvas, load_backbone
from argus_core.tasks.detect import DetectionResult, Detections
from bundle_help import make_argus


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


def test_confidence_comes_when_asked_for(argus, photo):
    found = argus.perceive(photo, return_confidence=True)
    mask, confidence = argus.segment(photo, return_confidence=True)
    _, deviation = argus.depth(photo, return_confidence=True)
    assert np.array_equal(found["segmentation_confidence"], confidence)
    assert np.array_equal(found["depth_uncertainty"], deviation)
    assert confidence.shape == deviation.shape == photo.shape[:2]
    assert 0 < confidence.min() <= confidence.max() <= 1 and deviation.min() >= 0
    assert {"segmentation_confidence", "depth_uncertainty"} <= set(found)
    assert np.array_equal(found["segmentation"].labels, mask.labels)
    plain = argus.perceive(photo)
    assert "depth_uncertainty" not in set(plain)
    with pytest.raises(KeyError):
        plain["depth_uncertainty"]
    assert "segmentation_confidence" not in argus.perceive(photo, tasks=["depth"], return_confidence=True)
    assert found["classification"][0]["margin"] == pytest.approx(argus.classify(photo)[0]["margin"])


def test_a_canvas_is_seen_once(argus, photo, monkeypatch):
    seen = []
    encode = argus.backbone.encode

    def counting(canvases, *args, **options):
        seen.append(tuple(canvases.shape[1:3]))
        return encode(canvases, *args, **options)

    monkeypatch.setattr(argus.backbone, "encode", counting)
    argus.perceive(photo)
    assert sorted(seen) == [(64, 96), (96, 96)]
    seen.clear()
    together = Argus(argus.backbone, dict(argus.heads), Canvas(128))
    found = together.perceive(photo)
    assert seen == [(128, 128)]
    assert set(found.timings_ms) >= {"backbone", "boxes", "masks", "metres"}
    assert all(value > 0 for value in found.timings_ms.values())


def test_heads_run_on_stored_tokens(argus, photo):
    tokens = argus.features(photo, Canvas(96))
    stored = argus.run_heads(tokens, ["metres"])["metres"][0]
    _, place = Canvas(96).render(photo)
    metres = argus.head("metres").task.to_image(stored, place).depth
    assert np.allclose(metres, argus.depth(photo).metres, atol=1e-5)


def test_detections_convert_for_supervision(photo):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes at import that OpenCV is missing
        pytest.importorskip("supervision")
    boxes, scores = torch.tensor([[1.0, 2, 30, 40], [5, 6, 50, 60]]), torch.tensor([0.9, 0.4])
    result = DetectionResult(photo, Detections(boxes, scores, torch.tensor([1, 0])), ("cat", "dog"))
    made = result.to_supervision()
    assert np.array_equal(made.xyxy, boxes.numpy()) and made.confidence.tolist() == pytest.approx([0.9, 0.4])
    assert made.class_id.tolist() == [1, 0] and made["class_name"].tolist() == ["dog", "cat"]
    assert made[made.confidence > 0.5]["class_name"].tolist() == ["dog"]
    empty = DetectionResult(photo, Detections(boxes[:0], scores[:0], torch.zeros(0).long()), ("cat", "dog"))
    assert len(empty.to_supervision()) == 0


def test_supervision_is_asked_for_where_it_is_missing(photo, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
    with pytest.raises(ArgusError, match=r"argus-perception\[supervision\]"):
        DetectionResult(photo, nothing, ("cat",)).to_supervision()
