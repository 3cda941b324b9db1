"""Vectors of objects and images: of the pass that answers, of the right place, and the same however they are asked."""

from __future__ import annotations

import functools
import json
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typer.testing import CliRunner

from argus_core import Argus, ArgusError, Canvas, load_backbone
from argus_core.backbones import Backbone
from argus_core.backbones.base import encode_rendered
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.cli.commands import app
from argus_core.model.embeddings import PassEmbeddings
from argus_core.tokens import FeatureInfo
from argus_core.tokens.taps import EmbeddingLayers, preferred_layer
from bundle_help import make_argus
from cache_fakes import FakeSplit

BOXES = [[5.0, 10.0, 60.5, 44.0], [0.0, 0.0, 140.0, 61.0], [139.0, 60.0, 140.0, 61.0]]
RED, BLUE = (250, 10, 0), (0, 20, 240)


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    """Two detectors and two other heads, on two canvases."""
    argus = make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"), ("softmax", "masks", "boxes", "towers"))
    return argus


@pytest.fixture(scope="module")
def photos():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((61, 140), (90, 50), (1, 1))]


class Colours(nn.Module):
    """The mean colour of every cell, at two strides: a map whose truth anybody can see."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward_intermediates(self, images, indices, stop_early=True, intermediates_only=True):
        taps = [F.avg_pool2d(images * self.scale, stride) for stride in (8, 16)]
        return [taps[index] for index in indices]


@pytest.fixture(scope="module")
def colours():
    info = FeatureInfo((3, 3), (8, 16))
    return Backbone(Colours(), info, name="colours", mean=(0, 0, 0), std=(1, 1, 1), license="apache-2.0")


def direction(colour):
    return np.array(colour) / np.linalg.norm(colour)


def two_halves(height, width, middle):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, :middle], image[:, middle:] = RED, BLUE
    return image


def test_embeddings_cost_no_pass_and_no_layer(argus, photos, monkeypatch):
    passes, network = [], argus.backbone.model.forward_intermediates

    @functools.wraps(network)
    def counted(x, *args, **kwargs):
        passes.append((len(x), tuple(kwargs["indices"])))
        return network(x, *args, **kwargs)

    monkeypatch.setattr(argus.backbone.model, "forward_intermediates", counted)
    plain = argus.detect(photos, score_thresh=0.0)
    without = passes.copy()
    passes.clear()
    found = argus.detect(photos, score_thresh=0.0, embeddings=True)
    assert passes == without == [(3, (11,))]
    assert plain[0].embeddings is None and plain[0].embedding is None
    for ours, theirs in zip(found, plain, strict=True):
        assert torch.equal(ours.detections.boxes, theirs.detections.boxes)
        assert ours.embeddings.shape == (len(ours), 96) and ours.embeddings.dtype == np.float32
        assert np.allclose(np.linalg.norm(ours.embeddings, axis=1), 1, atol=1e-5)
    passes.clear()
    argus.perceive(photos, embeddings=True)
    assert len(passes) == len(argus.passes()) == 2


def test_detected_and_given_boxes_have_the_same_vectors(argus, photos):
    found = argus.detect(photos, score_thresh=0.1, embeddings=True)
    given = argus.embed(photos, [one.detections.boxes for one in found])
    together = argus.perceive(photos, embeddings=True)
    assert sum(map(len, found)) > 20
    for photo, one, vectors, perception in zip(photos, found, given, together, strict=True):
        assert np.array_equal(one.embeddings, vectors)
        assert np.array_equal(one.embedding, perception.embedding)
        assert np.allclose(argus.embed(photo), one.embedding, atol=1e-5)
        assert np.allclose(argus.embed(photo, one.detections.boxes), vectors, atol=1e-4)
    shown = argus.perceive(photos[0], tasks=["boxes"], embeddings=True)["boxes"]
    everything = argus.detect(photos[0], score_thresh=0.3, embeddings=True)
    assert np.allclose(shown.embeddings, everything.embeddings, atol=1e-5)


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(40, 190), (190, 40), (64, 96), (97, 101)])
def test_an_image_of_one_colour_has_one_vector_up_to_its_borders(colours, fit, size):
    argus = Argus(colours, canvas=Canvas(64, 96, fit))
    height, width = size
    image = np.full((height, width, 3), RED, dtype=np.uint8)
    middle = [width / 2 - 3, height / 2 - 3, width / 2 + 3, height / 2 + 3]
    corner = [width - 0.5, height - 0.5, width, height]
    boxes = [middle, [0, 0, width, height], *([corner, [-9, -9, 0.5, 0.5]] if fit != "crop" else [])]
    vectors = argus.embed(image, boxes)
    assert np.allclose(vectors, direction(RED), atol=1e-4)
    assert np.allclose(argus.embed(image), direction(RED), atol=1e-4)


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_a_vector_is_of_the_place_of_its_box(colours, fit):
    argus = Argus(colours, canvas=Canvas(128, 160, fit))
    image = two_halves(100, 200, 90)
    left, right, both = argus.embed(image, [[0, 20, 70, 90], [110, 0, 200, 100], [0, 0, 180, 100]])
    assert np.allclose(left, direction(RED), atol=0.01) and np.allclose(right, direction(BLUE), atol=0.01)
    assert np.allclose(both, direction(np.add(RED, BLUE)), atol=0.02)


def test_a_mirrored_view_has_the_vectors_of_the_same_objects(colours):
    image, canvas = two_halves(60, 90, 30), Canvas(128)
    box = np.array([[2.0, 5.0, 20.0, 50.0]])
    for mirrored in (False, True):
        placed = encode_rendered(colours, [canvas.render(image, mirrored)], EmbeddingLayers(0, 1).needs)
        assert np.allclose(PassEmbeddings(placed, EmbeddingLayers(0, 1)).boxes(0, box), direction(RED), atol=0.01)


def test_stored_tokens_give_the_vectors_of_live_ones(argus, tmp_path):
    canvas, split, layers = Canvas(96), FakeSplit(4), argus.embedding_layers
    write_cache(tmp_path, argus.backbone, split, CacheSpec(canvas, layers.needs, dtype="fp32"))
    stored = PassEmbeddings(CacheSource(Cache.open(tmp_path)).read([(n, "id") for n in range(4)]), layers)
    boxes = [np.array([[0.0, 0.0, 3.5, 4.0], [1.0, 2.0, 5.0, 5.0]])] * 4
    images = [split.read(n) for n in range(4)]
    assert np.allclose(stored.images, argus.embed(images), atol=1e-6)
    for n, vectors in enumerate(argus.embed(images, boxes)):
        assert np.allclose(stored.boxes(n, boxes[n]), vectors, atol=1e-6)


def test_layers_that_embeddings_come_from(argus, colours):
    pyramid = FeatureInfo((16, 24, 40, 112, 320, 1280), (2, 4, 8, 16, 32, 32), stages=5)
    assert preferred_layer(pyramid, range(6)) == 3 and preferred_layer(pyramid, (4, 5)) == 5
    assert preferred_layer(FeatureInfo.vit(8), (2, 5, 8)) == 8
    assert argus.embedding_layers == (11, 11)
    assert Argus(colours, canvas=Canvas(64)).embedding_layers == (1, 1)
    other = Argus(argus.backbone, dict(argus.heads))
    other.embedding_layer = 3
    assert other.embedding_layers == (3, 3)
    assert not np.allclose(other.embed(np.zeros((9, 9, 3), np.uint8)), argus.embed(np.zeros((9, 9, 3), np.uint8)))
    other.embedding_layer = 12
    with pytest.raises(ArgusError, match="layer 12 does not exist: the backbone has 12"):
        other.embed(np.zeros((9, 9), np.uint8))


def test_without_a_detector_there_is_the_vector_of_the_image(argus, photos):
    few = Argus(argus.backbone, {name: argus.head(name) for name in ("softmax", "masks")})
    found = few.perceive(photos[0], embeddings=True)
    assert np.allclose(found.embedding, few.embed(photos[0]), atol=1e-5)
    assert few.perceive(photos[0]).embedding is None
    assert few.embed(photos[0], BOXES).shape == (3, 96)
    with pytest.raises(ArgusError, match="detect"):
        few.detect(photos[0], embeddings=True)


def test_vectors_in_plain_values_and_other_packages(argus, photos):
    found = argus.detect(photos[0], score_thresh=0.1, embeddings=True)
    values = json.loads(json.dumps(found.to_dict()))
    assert np.allclose([entry["embedding"] for entry in values["detections"]], found.embeddings, atol=6e-6)
    assert np.allclose(values["embedding"], found.embedding, atol=6e-6)
    assert len(json.dumps(values["embedding"])) < 11 * 96
    assert "embedding" not in argus.detect(photos[0]).to_dict()
    assert "embedding" not in found.to_coco(1)[0]
    everything = argus.perceive(photos[0], embeddings=True).to_dict()
    assert np.allclose(everything["embedding"], found.embedding, atol=1e-5)
    pytest.importorskip("supervision")
    other = found.to_supervision()
    assert np.array_equal(other[other.confidence > 0.12].data["embedding"], found.embeddings[other.confidence > 0.12])


def test_no_boxes_and_many(argus, photos):
    assert argus.embed(photos[0], []).shape == argus.embed(photos[0], np.zeros((0, 4))).shape == (0, 96)
    assert argus.detect(photos[0], score_thresh=1.0, embeddings=True).embeddings.shape == (0, 96)
    many = np.tile(BOXES, (800, 1))
    assert np.array_equal(argus.embed(photos[0], many)[-3:], argus.embed(photos[0], torch.tensor(many[1023:1026])))
    grey = argus.embed(photos[0][..., 0], BOXES)
    assert grey.shape == (3, 96) and np.isfinite(grey).all()
    assert argus.embed([photos[0]] * 3).shape == (3, 96)


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([5, 10, 60, 44], r"boxes of image 0 are int64 of shape \(4,\), not numbers of shape \(N, 4\)"),
        (np.zeros((3, 5)), r"float64 of shape \(3, 5\)"),
        ([["a", "b", "c", "d"]], r"are <U1 of shape \(1, 4\)"),
        ([[1, 2, 3, 4], [1, np.nan, 3, 4]], r"box 1 of image 0, \[1.0, nan, 3.0, 4.0\], is not finite"),
        ([[1, 2, np.inf, 4]], "is not finite"),
        ([[50, 40, 20, 30]], "ends before it begins; boxes are x1, y1, x2, y2, so of x, y, width, height give"),
        ([[150, 2, 160, 4]], r"lies outside image 0 of 140x61 px \(width x height\)"),
        ([[-20, 2, 0, 4]], "lies outside"),
        ([[0.1, 0.2, 0.5, 0.9]], "lie within 0 to 1; if they are shares, multiply by its width and height"),
    ],
)
def test_boxes_that_mark_no_place_are_refused(argus, photos, boxes, said):
    with pytest.raises(ArgusError, match=said):
        argus.embed(photos[0], boxes)


def test_other_faults_are_told(argus, colours, photos):
    with pytest.raises(ArgusError, match=r"there are 2 images and 1 arrays of boxes"):
        argus.embed(photos[:2], [BOXES])
    with pytest.raises(ArgusError, match="there is no image to look at"):
        argus.embed([])
    with pytest.raises(ArgusError, match="an Argus without heads needs a canvas"):
        Argus(colours).embed(photos[0])
    with pytest.raises(ArgusError, match="lies where the canvas cuts the image off"):
        Argus(colours, canvas=Canvas(64, fit="crop")).embed(photos[0], [[0, 0, 20, 60]])


def test_the_command_writes_vectors(argus, tmp_path):
    from PIL import Image

    argus.save(tmp_path / "model")
    Image.fromarray(two_halves(60, 90, 30)).save(tmp_path / "a.png")
    words = ["perceive", str(tmp_path / "a.png"), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--threshold", "0.1", "--no-pictures", "--embeddings"])
    assert done.exit_code == 0, done.output
    line = json.loads((tmp_path / "out/results.jsonl").read_text())
    boxes = [entry["box"] for entry in line["boxes"]]
    assert np.allclose(
        [entry["embedding"] for entry in line["boxes"]], argus.embed(tmp_path / "a.png", boxes), atol=1e-4
    )
    assert np.allclose(line["embedding"], argus.embed(tmp_path / "a.png"), atol=1e-4)
    wrong = CliRunner().invoke(app, [*words, "--embedding-layer", "3"])
    assert "--embedding-layer 3 has nothing to act on: add --embeddings" in str(wrong.exception)
    bundle = CliRunner().invoke(app, ["export", "--model", words[3], "--out", str(tmp_path / "x"), "--embeddings"])
    assert "--embeddings is of graphs (onnx, torch, openvino)" in str(bundle.exception)


def test_the_arena_passes_the_wish_on(tmp_path, monkeypatch):
    from argus_arena.cli import app as arena

    asked = []
    monkeypatch.setattr(import_module("argus_arena.cli.predict"), "look_at", asked.append)
    for name in ("best", "last"):
        (tmp_path / f"{name}.safetensors").touch()
    line = ["predict", "photo.jpg", "--run", str(tmp_path), "--embeddings", "--embedding-layer", "2"]
    done = CliRunner().invoke(arena, line)
    assert done.exit_code == 0, done.output
    assert asked[0].embeddings and asked[0].embedding_layer == 2


def test_each_detector_is_pooled_from_its_own_pass(argus, photos):
    """Two detectors on two canvases: each as if it were alone."""
    together = argus.perceive(photos[:2], embeddings=True)
    for name in ("boxes", "towers"):
        alone = Argus(argus.backbone, {name: argus.head(name)})
        for photo, perception in zip(photos, together, strict=False):
            found = perception[name]
            assert np.allclose(found.embeddings, alone.embed(photo, found.detections.boxes), atol=1e-4)
            assert np.allclose(found.embedding, alone.embed(photo), atol=1e-4)
    assert not np.allclose(together[0]["boxes"].embedding, together[0]["towers"].embedding, atol=0.01)
