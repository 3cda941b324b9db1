"""Images larger than the canvas, looked at by tiles."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch

from argus_core import Canvas, Correspond, Depth, Detect, FeatureInfo, Segment
from argus_core.canvas.large import Tiling
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.composition import run_head
from argus_core.saving.build import build_head
from argus_core.tokens import Tokens
from tiles_help import BRIGHT, DARK, argus

SEAMS = [(30, 52), (60, 4), (100, 120), (47, 47), (150, 200), (128, 64)]
"""Top left corners (y, x) of planted squares of 8 px, most of them where tiles of 64 px meet or overlap."""


def scene(height: int = 170, width: int = 230) -> np.ndarray:
    image = np.full((height, width, 3), DARK, dtype=np.uint8)
    for y, x in SEAMS:
        image[y - y % 4 :, x - x % 4 :][:8, :8] = BRIGHT
    return image


def planted(image: np.ndarray) -> list[list[float]]:
    corners = [(y - y % 4, x - x % 4) for y, x in SEAMS]
    inside = [(y, x) for y, x in corners if y + 8 <= image.shape[0] and x + 8 <= image.shape[1]]
    return sorted([float(x), float(y), float(x + 8), float(y + 8)] for y, x in inside)


@pytest.fixture
def model():
    return argus()


@pytest.mark.parametrize("merge", ["tokens", "results"])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_every_planted_object_is_found_once_at_its_place(model, merge, overlap):
    image = scene()
    found = model.detect(image, tiles="auto", overlap=overlap, merge=merge).detections.boxes
    assert sorted(found.tolist()) == planted(image)


@pytest.mark.parametrize("merge", ["tokens", "results"])
def test_maps_are_those_of_the_image(model, merge):
    image = scene()
    image[:, :, 0] = np.linspace(0, 255, image.shape[1]).astype(np.uint8)
    seen = model.perceive(image, ["masks", "metres"], tiles="auto", merge=merge)
    bright = image.mean(axis=2) > 127.5
    assert (seen["segmentation"].labels == bright).mean() > 0.95
    inside = np.s_[:164, :224]  # cells at the border of the image average padding too
    assert np.abs(seen["depth"].metres - (1 + image[:, :, 0] / 255 * 8))[inside].max() < 0.2


def test_the_canvas_alone_loses_what_tiles_find(model):
    image = scene(850, 1150)
    with pytest.warns(UserWarning, match=r"objects below 145 px vanish where 1150x850 px become 64x64"):
        assert len(model.detect(image).detections.boxes) == 0
    assert len(model.detect(image, tiles="auto").detections.boxes) == len(SEAMS)


def test_tiles_of_a_size_show_so_many_pixels_of_the_image(model):
    image = np.kron(scene(), np.ones((2, 2, 1), dtype=np.uint8))
    found = model.detect(image, tiles=128).detections.boxes
    assert sorted((found / 2).tolist()) == planted(scene())
    assert {size[2:] for size in model.backbone.model.sizes} == {(64, 64)}


def test_an_image_that_fits_is_one_usual_pass_with_the_same_answers(model):
    image = scene(40, 64)
    usual = model.perceive(image)
    model.backbone.model.sizes.clear()
    tiled = model.perceive(image, tiles="auto")
    assert model.backbone.model.sizes == [(1, 3, 64, 64)]
    assert torch.equal(tiled["boxes"].detections.boxes, usual["boxes"].detections.boxes)
    assert (tiled["depth"].metres == usual["depth"].metres).all()


def test_classes_are_told_of_the_whole_image_on_the_usual_canvas(model):
    image = scene()
    usual, model.tiling = model.classify(image), Tiling("auto")
    model.backbone.model.sizes.clear()
    seen = model.perceive(image, ["kind", "boxes"])
    assert torch.equal(seen["kind"].prediction.scores, usual.prediction.scores)
    assert (1, 3, 64, 64) in model.backbone.model.sizes


def test_images_of_all_sizes_get_the_answers_that_they_get_alone(model):
    images = [scene(), scene(64, 64), scene(170, 230), scene(90, 500), scene(1, 1), scene(3, 700), scene(200, 64)]
    together = model.perceive(images, tiles="auto", overlap=0.4)
    for image, seen in zip(images, together, strict=True):
        alone = model.perceive(image, tiles="auto", overlap=0.4)
        assert sorted(seen["boxes"].detections.boxes.tolist()) == sorted(alone["boxes"].detections.boxes.tolist())
        assert (seen["masks"].labels == alone["masks"].labels).all() and seen["masks"].labels.shape == image.shape[:2]
        assert np.allclose(seen["metres"].metres, alone["metres"].metres, atol=1e-5)


def test_passes_hold_no_more_tiles_than_the_batch(model):
    model.batch = 5
    for merge in ("tokens", "results"):
        model.detect([scene(), scene(), scene(80, 60)], tiles="auto", merge=merge)
        assert max(size[0] for size in model.backbone.model.sizes) == 5


def test_points_are_matched_across_large_images_of_two_sizes(model):
    y, x = np.mgrid[:120, :200]
    first = np.stack([40 + x, 40 + 1.5 * y, np.full_like(x, 100)], axis=-1).astype(np.uint8)  # a direction per place
    second = np.full((200, 300, 3), (0, 0, 255), dtype=np.uint8)
    second[60:180, 80:280] = first
    points = [[10.0, 10.0], [150.0, 90.0], [66.0, 62.0]]
    result = model.correspond(first, second, points, tiles="auto")
    assert np.abs(result.matches.points - np.add(points, [80, 60])).max() <= 4


def test_vectors_of_boxes_are_those_of_the_detection(model):
    image = scene()
    result = model.detect(image, tiles="auto", embeddings=True)
    boxes = result.detections.boxes.numpy()
    assert np.allclose(model.embed(image, boxes, tiles="auto"), result.embeddings, atol=1e-6)
    small, large = model.embed([scene(20, 20), image], [boxes[:0], boxes], tiles="auto")
    assert small.shape == (0, 3) and np.allclose(large, result.embeddings, atol=1e-6)


def test_features_are_those_of_the_whole_image(model):
    assert model.features(scene(), tiles="auto").size == (176, 240)
    with pytest.raises(ArgusError, match="different sizes"):
        model.features([scene(), scene(80, 90)], tiles="auto")


def test_who_does_not_ask_for_tiles_is_warned_once(model):
    with pytest.warns(UserWarning, match=r"1 image is much larger.*give tiles='auto'") as caught:
        model.perceive(scene(400, 400), ["boxes"])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.perceive(scene(400, 400), ["boxes"])
        argus().classify(scene(400, 400))
        argus().detect(scene(400, 400), tiles="auto")
        argus().detect(scene(200, 240))


def test_what_has_nothing_to_act_on_or_makes_no_sense_is_refused(model):
    with pytest.raises(ArgusError, match="overlap has nothing to act on"):
        model.detect(scene(), overlap=0.3)
    with pytest.raises(TypeError, match="colour"):
        model.detect(scene(), colour=1)
    with pytest.raises(ArgusError, match=r"enlarged 8\.0 times"):
        model.detect(scene(), tiles=8)
    with pytest.raises(ArgusError, match="merge tokens, not results"):
        model.detect(scene(), tiles="auto", merge="results", embeddings=True)
    with pytest.raises(ArgusError, match="cannot be merged"):
        model.correspond(scene(), scene(), [[5, 5]], tiles="auto", merge="results")


def test_tiles_can_be_set_for_all_questions_and_left_out_of_one(model):
    model.tiling = Tiling("auto", overlap=0.3)
    image = scene()
    assert len(model.detect(image).detections.boxes) == len(SEAMS)
    model.backbone.model.sizes.clear()
    model.detect(image, tiles=None)
    assert model.backbone.model.sizes == [(1, 3, 64, 64)]


VIT, PYRAMID = FeatureInfo.vit(12, depth=4, prefix=1), FeatureInfo((8, 8, 12, 16), (4, 8, 16, 32), prefix=1)


@pytest.mark.parametrize("info", [VIT, PYRAMID], ids=["vit", "pyramid"])
@pytest.mark.parametrize(
    "name",
    [
        "segment.linear",
        "segment.dpt",
        "depth.linear",
        "depth.dpt",
        "detect.fcos",
        "detect.slim_fcos",
        "correspond.match",
    ],
)
def test_built_in_heads_take_a_large_canvas_that_is_not_square(name, info):
    tasks = {"segment": Segment.small(), "depth": Depth.small(), "detect": Detect.small(), "correspond": Correspond()}
    head: Head = build_head(name, info, tasks[name.partition(".")[0]]).eval()
    canvas, extent = Canvas(192, 640).size, torch.tensor([[170, 640]])
    random = torch.Generator().manual_seed(0)
    maps = {
        layer: torch.randn(1, info.channels[layer], *info.grid(canvas, layer), generator=random) for layer in range(4)
    }
    with torch.no_grad():
        (prediction,) = run_head(head, Tokens(maps, {}, extent, canvas, info))
    head.task.check(prediction, canvas)


def test_an_image_that_would_fill_the_memory_is_refused_in_numbers(model, monkeypatch):
    monkeypatch.setattr("argus_core.model.room.free_memory", lambda device: 400_000)
    with pytest.raises(ArgusError, match=r"canvas of 240x176 px .* tiles of 100 px") as caught:
        model.detect(scene(), tiles="auto")
    (least,) = re.findall(r"--tiles (\d+)", str(caught.value))
    model.detect(scene(), tiles=int(least))
    model.detect(scene(), tiles="auto", merge="results")
