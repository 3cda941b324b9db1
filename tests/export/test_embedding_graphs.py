"""Graphs of detectors give the vectors that the Argus gives, and that of the whole image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

from argus_core import Argus, ArgusError, Canvas, Classify, Detect, build_head
from argus_core.backbones.timm_models import build, wrap
from argus_core.detection import DecodeOptions
from argus_core.export.folder import KEY
from argus_core.export.onnx import convert, open_graph
from argus_core.export.parts import Part, take_apart
from argus_core.nn.regions import region_means
from argus_core.tokens.taps import EmbeddingLayers

CANVAS = Canvas(160)
LAYERS = EmbeddingLayers(0, 1)
"""A layer that the detector does not read, for its objects, and the last for the image."""


@pytest.fixture(scope="module")
def argus():
    torch.manual_seed(0)
    network = build("vit_small_patch16_dinov3_qkvb", embed_dim=48, num_heads=3, depth=2)
    backbone = wrap(network, "small", license="apache-2.0")
    boxes = build_head("detect.fcos", backbone.info, Detect(classes=("cat", "dog")), {"width": 8, "depth": 1})
    kinds = build_head("classify.linear", backbone.info, Classify(classes=("cat", "dog")))
    with torch.no_grad():
        for value in (*backbone.parameters(), *boxes.parameters(), *kinds.parameters()):
            value.add_(0.1 * torch.randn_like(value))
    backbone = wrap(network, "small", license="apache-2.0")
    boxes.decoding = DecodeOptions(score=0.09)  # so that fewer boxes are left than there is room for
    argus = Argus(backbone, {"boxes": boxes, "kinds": kinds}, CANVAS)
    argus.embedding_layer = 0
    return argus


def photo():
    return np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)


def inputs():
    canvas, place = CANVAS.render(photo())
    images = torch.from_numpy(canvas).permute(2, 0, 1)[None].contiguous()
    return images, torch.tensor([place.extent]), place


def check(argus, answers, place, layer):
    """The vectors of a graph's answers are those of the Argus for the same boxes; there are none beyond the count."""
    count = int(answers["boxes_count"][0])
    boxes = place.boxes_to_image(answers["boxes_boxes"][0, :count].double().numpy())
    vectors = answers["boxes_embeddings"][0]
    assert count == len(argus([photo()])["boxes"][0].scores) > 5
    assert np.allclose(vectors[:count], argus.embed(photo(), boxes), atol=1e-4)
    assert not vectors[count:].any() and len(vectors) > count
    images = Argus(argus.backbone, canvas=CANVAS)
    images.embedding_layer = layer
    assert np.allclose(answers["image_embedding"][0], images.embed(photo()), atol=1e-4)


def test_the_traced_modules_give_the_vectors_of_the_argus(argus):
    parts = take_apart(argus, LAYERS)
    assert parts.heads == ["boxes", "kinds", "image"]
    assert parts.parts["head_boxes"].inputs == ("map_1", "map_0", "ends")
    assert parts.parts["head_image"].inputs == ("prefix_1",) and parts.parts["head_kinds"].inputs == ("prefix_1",)
    assert set(parts.whole.outputs) >= {"boxes_embeddings", "image_embedding"}
    images, extent, place = inputs()
    with torch.no_grad():
        check(argus, parts.whole.module(images, extent), place, LAYERS.images)
    assert take_apart(argus).heads == ["boxes", "kinds"]


def test_a_head_cannot_be_called_as_the_vector_of_the_image(argus):
    other = Argus(argus.backbone, {"image": argus.head("kinds")}, CANVAS)
    with pytest.raises(ArgusError, match="the vector of the whole image is called 'image', so a head cannot be"):
        take_apart(other, LAYERS)
    assert take_apart(other).heads == ["image"]


class Means(nn.Module):
    """The pooling alone."""

    def forward(self, maps, boxes, extent):
        return region_means(maps, boxes, 16, extent)


@pytest.mark.slow
def test_pooling_in_onnx_is_that_of_torch_at_any_size(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    generator = torch.Generator().manual_seed(0)

    def example(batch, count, rows, columns):
        maps = torch.randn(batch, 6, rows, columns, generator=generator)
        ends = torch.tensor([16 * rows, 16 * columns]) - torch.randint(0, 30, (batch, 2), generator=generator)
        corners = torch.rand(batch, count, 2, 2, generator=generator).sort(dim=2).values.flatten(2)
        corners[:, 0] = 0.5  # without area
        return maps, corners * ends.flip(1).repeat(1, 2)[:, None], ends

    batch, count = Dim("batch", min=1), Dim("count", min=1)
    axes = ({0: batch, 2: Dim("rows", min=2), 3: Dim("columns", min=2)}, {0: batch, 1: count}, {0: batch})
    names = ("maps", "boxes", "extent")
    part = Part(Means(), example(2, 5, 6, 8), axes, names, ("means",), {})
    convert(part, "means").save(tmp_path / "means.onnx")
    graph = open_graph(tmp_path / "means.onnx")
    for sizes in ((1, 1, 3, 3), (3, 40, 11, 5), (2, 7, 4, 21)):
        given = example(*sizes)
        found = graph(**dict(zip(names, given, strict=True)))["means"]
        assert torch.allclose(found, Means()(*given), atol=1e-5)


@pytest.mark.slow
def test_onnx_gives_the_vectors_of_the_argus(argus, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    report = argus.export_onnx(tmp_path, embeddings=True)
    for graph in ("head_boxes", "argus/boxes"):
        assert report["largest"][graph]["embeddings"] < 1e-4
        assert len(report["differences"][graph]["embeddings"]) == 6
    assert report["largest"]["head_image"]["embedding"] < 1e-4
    images, extent, place = inputs()
    check(argus, open_graph(report["files"]["argus"])(images=images, extent=extent), place, 0)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(report["files"]["argus"]), providers=["CPUExecutionProvider"])
    record = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert (
        record["embeddings"]["objects"] | {"layer": 0, "dimension": 48, "normalised": "L2"}
        == (record["embeddings"]["objects"])
    )
    assert record["outputs"]["boxes_embeddings"]["meaning"].startswith("a vector of length 1 of each box")
