"""Exported graphs answer as the Argus they came from, at sizes and batches they were not traced at."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from argus_core.argus import Argus
from argus_core.backbones.timm_models import build, wrap
from argus_core.canvas import Canvas
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.export import onnx as onnx_export
from argus_core.export.folder import KEY
from argus_core.export.parts import take_apart
from argus_core.export.verify import Report
from argus_core.head import Head
from argus_core.saving.build import build_head
from argus_core.tasks import Calibration
from argus_core.tasks.classify import Classify
from argus_core.tasks.correspond import Correspond
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment

CANVAS = Canvas(160)


def shaken(module):
    """Every parameter moved off its start, which hides faults: gammas near .5, strong attention."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "gamma" in name or ("norm" in name and name.endswith("weight")):
                p.uniform_(0.4, 0.6)
            elif p.ndim > 1:
                p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5 * (6 if "qkv" in name else 1))
            else:
                p.copy_(0.25 * torch.randn_like(p))
    return module


def rotary(depth=2):
    """The architecture of EUPE: rotary positions, register tokens, layer scales."""
    network = build("vit_small_patch16_dinov3_qkvb", embed_dim=48, num_heads=3, depth=depth)
    return wrap(shaken(network), "rotary", license="fair-noncommercial-research-license")


def learned():
    """Learned positions, resampled for every grid."""
    return wrap(shaken(build("vit_tiny_patch16_224", embed_dim=48, depth=2)), "learned", license="apache-2.0")


def heads_for(info, *names):
    layers = [0, -1] if info.depth > 1 else [-1]
    specs = {
        "kind": ("classify.linear", Classify(classes=("cat", "dog", "eel")), {}),
        "alike": ("classify.knn", Classify(classes=("cat", "dog", "eel")), {"neighbours": 20}),
        "near": ("classify.prototypes", Classify(classes=("cat", "dog", "eel")), {}),
        "solved": ("classify.ridge", Classify(classes=("cat", "dog", "eel")), {}),
        "masks": ("segment.linear", Segment(classes=("sky", "sea")), {"layers": layers}),
        "cells": ("segment.ridge", Segment(classes=("sky", "sea")), {"layers": layers}),
        "logs": ("depth.ridge", Depth(), {"layers": layers}),
        "metres": ("depth.linear", Depth(), {"bins": 16}),
        "boxes": ("detect.fcos", Detect(classes=("cat", "dog")), {"width": 8, "depth": 1, "pyramid": "slim"}),
        "things": ("detect.closed_form", Detect(classes=("cat", "dog")), {"size": 8}),
        "places": ("correspond.match", Correspond(), {"size": 256}),
    }
    heads = {}
    for name in names:
        head = build_head(specs[name][0], info, specs[name][1], specs[name][2])
        with torch.no_grad():
            for p in head.parameters():
                p.add_(0.1 * torch.randn_like(p))
        heads[name] = head
    for name in {"kind", "masks", "boxes"} & heads.keys():
        heads[name].calibration = Calibration(1.6, -0.3)
    for name in {"solved", "cells", "logs"} & heads.keys():
        for buffer in (heads[name].weight, heads[name].bias):
            buffer.copy_(0.3 * torch.randn_like(buffer))
    if "things" in heads:
        things = heads["things"]
        for buffer in (things.project, things.weight, things.region_weight, things.region_bias):
            buffer.copy_(0.1 * torch.randn_like(buffer))
        things.bias.copy_(torch.tensor([0.1, -0.2, 3.0, 3.5]))  # sides of 20 to 30 px
        things.region_bias[3] = 0.5  # overlaps that differ: equal ones would have any order
    if "near" in heads:
        heads["near"].prototypes.copy_(torch.randn_like(heads["near"].prototypes))
    if "alike" in heads:
        width = info.channels[-1]
        heads["alike"].make_room({"bank": torch.zeros(50, width), "labels": torch.zeros(50)})
        heads["alike"].bank.copy_(torch.nn.functional.normalize(torch.randn(50, width), dim=1))
        heads["alike"].labels.copy_(torch.arange(50) % 3)
    return heads


def small_argus(backbone, *names):
    torch.manual_seed(1)
    return Argus(backbone, heads_for(backbone.info, *names), CANVAS)


def checked(report, names):
    """Every graph was compared at six shapes, and none is off."""
    graphs = {"backbone", *(f"head_{name}" for name in names), *(f"argus/{name}" for name in names)}
    assert graphs <= set(report["differences"])
    for outputs in report["differences"].values():
        assert all(len(shapes) == 6 for shapes in outputs.values())
        assert any(shape.startswith("3x") for shape in next(iter(outputs.values())))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One export of the EUPE architecture with detection and matching, shared by the tests."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    argus = small_argus(rotary(), "kind", "near", "masks", "boxes", "places")
    argus.train()
    return argus, argus.export_onnx(tmp_path_factory.mktemp("onnx"))


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.slow
def test_onnx_answers_as_the_argus_at_six_other_sizes(exported):
    argus, report = exported
    checked(report, argus.heads)
    assert set(report["files"]) == {"argus", "backbone", *(f"head_{n}" for n in argus.heads), "match_places"}
    assert {path.suffix for path in report["files"].values()} == {".onnx"}
    folder = report["files"]["argus"].parent
    assert {path.name for path in folder.iterdir()} == {"export.json", *(f"{name}.onnx" for name in report["files"])}
    written = json.loads((folder / "export.json").read_text())
    assert written == {**report, "files": {name: f"{name}.onnx" for name in report["files"]}}
    assert max(report["largest"]["argus/masks"].values()) < 1e-4
    assert argus.training and argus.head("masks").training  # as it was before


@pytest.mark.slow
def test_a_photo_gets_the_answers_of_the_argus(exported):
    """From pixels to detections and classes, at the canvas's own size and letterboxed, by the record in the file."""
    argus, report = exported
    argus.eval()
    run = session(report["files"]["argus"])
    record = json.loads(run.get_modelmeta().custom_metadata_map[KEY])
    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    canvas, place = Canvas(**record["canvas"]).render(image)
    names = [output.name for output in run.get_outputs()]
    inputs = {"images": canvas.transpose(2, 0, 1)[None], "extent": np.array([place.extent])}
    answers = dict(zip(names, run.run(None, inputs), strict=True))
    assert set(names) == set(record["outputs"])
    classes = record["heads"]["kind"]["numbers"]["classes"]
    assert classes[int(answers["kind_scores"].argmax())] == argus.classify(image).class_name
    expected = argus([image])["boxes"][0]
    count = int(answers["boxes_count"][0])
    assert count == len(expected.scores) > 10
    boxes = torch.from_numpy(place.boxes_to_image(answers["boxes_boxes"][0, :count])).float()
    assert (expected.boxes[:, None] - boxes).abs().amax(dim=2).amin(dim=1).max() < 0.05
    assert np.abs(answers["boxes_scores"][0, :count] - expected.scores.numpy()).max() < 1e-4
    assert record["outputs"]["masks_logits"]["stride"] == 16
    assert answers["masks_logits"].shape == (1, 2, 10, 10)


@pytest.mark.slow
def test_the_record_says_how_to_feed_it_and_under_which_terms(exported):
    argus, report = exported
    for name, path in report["files"].items():
        run = session(path)
        record = json.loads(run.get_modelmeta().custom_metadata_map[KEY])
        assert record["graph"] == name
        assert record["preprocessing"]["mean"] == list(argus.backbone.mean)
        assert record["preprocessing"]["multiple"] == 16
        assert record["licenses"]["binding"]["id"] == "fair-noncommercial-research-license"
        assert record["backbone"]["weights_sha256"] == argus.backbone.weights_sha256
        assert [value.name for value in run.get_inputs()] == list(record["inputs"])
        assert {value.name for value in run.get_outputs()} == set(record["outputs"])
    assert session(report["files"]["argus"]).get_inputs()[0].shape == ["batch", 3, "16*rows", "16*columns"]
    assert report["licenses"] == argus.licenses().to_dict()


def names_of(graph):
    """All values that a graph computes, loop bodies included."""
    for node in graph.node:
        yield from (name for name in node.output if name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from (value.name for value in attribute.g.input)
                yield from names_of(attribute.g)


@pytest.mark.slow
def test_no_two_values_of_the_joined_graph_share_a_name(exported):
    """Heads are traced one by one, and each has loops with names of their own."""
    onnx = pytest.importorskip("onnx")
    _, report = exported
    graph = onnx.load(report["files"]["argus"]).graph
    names = list(names_of(graph))
    assert len(names) == len(set(names)) > 100
    assert any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)


@pytest.mark.slow
def test_an_extent_of_nothing_means_the_whole_canvas(exported):
    _, report = exported
    run = session(report["files"]["backbone"])
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 96, 64), dtype=np.uint8)
    whole = run.run(None, {"images": images, "extent": np.zeros((2, 2), dtype=np.int64)})
    stated = run.run(None, {"images": images, "extent": np.array([[96, 64], [500, 64]])})
    assert all(np.array_equal(a, b) for a, b in zip(whole, stated, strict=True))


@pytest.mark.slow
def test_learned_positions_and_neighbours_export(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    argus = small_argus(learned(), "alike", "metres", "solved", "logs", "things")
    checked(argus.export_onnx(tmp_path), argus.heads)


@pytest.mark.slow
def test_exported_programs_answer_as_the_argus(tmp_path):
    argus = small_argus(rotary(1), "masks", "places", "solved", "cells", "logs")
    report = argus.export_torch(tmp_path)
    checked(report, argus.heads)
    extra = {f"{KEY}.json": ""}
    program = torch.export.load(report["files"]["argus"], extra_files=extra)
    assert json.loads(extra[f"{KEY}.json"])["graph"] == "argus"
    answers = program.module()(torch.zeros(1, 3, 32, 48, dtype=torch.uint8), torch.zeros(1, 2, dtype=torch.long))
    assert answers["masks_logits"].shape == (1, 2, 2, 3)


class Counting(Head):
    """Fixes the batch while it is traced."""

    solves = Classify

    def forward(self, features):
        return torch.stack([image_map.mean((1, 2))[:3] for image_map in features.map])


def test_a_head_that_fixes_the_batch_is_named(tmp_path):
    backbone = rotary(1)
    argus = Argus(backbone, {"odd": Counting(backbone.info, Classify.small())}, CANVAS)
    with pytest.raises(ArgusError, match=r"head_odd cannot be exported for every size: .*batch"):
        argus.export_torch(tmp_path)


@pytest.mark.slow
def test_a_graph_with_frozen_positions_is_refused(tmp_path, monkeypatch):
    """Sizes as Python numbers, as timm takes them, become those of the traced grid: no error but wrong answers."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(
        "argus_core.export.stand_ins._rotary", lambda rope, *args: type(rope)._create_embed(rope, *args)
    )
    argus = small_argus(rotary(1), "masks")
    onnx_export.convert(take_apart(argus).parts["backbone"], "backbone").save(tmp_path / "backbone.onnx")
    images, extent = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8), torch.tensor([[224, 224]])
    actual = onnx_export.open_graph(tmp_path / "backbone.onnx")(images=images, extent=extent)
    expected = {"map_0": argus.features(images[0].permute(1, 2, 0).numpy(), Canvas(224)).maps[0]}
    with pytest.raises(ArgusError, match=r"'map_0' of the exported graph 'backbone' differs by .* at 1x224x224"):
        Report().compare("backbone", "1x224x224", expected, actual)


def test_a_killed_export_leaves_nothing_for_long(tmp_path, monkeypatch):
    from argus_core.export.folder import staged

    (tmp_path / ".export-a1b2_c3d").mkdir()
    (tmp_path / ".export-a1b2_c3d/argus.pt2").write_text("half")
    with staged(tmp_path) as stage:
        (stage / "whole").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    with pytest.raises(RuntimeError), staged(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()


class Cumulative(Head):
    """Uses what ONNX has no operator for."""

    solves = Classify

    def forward(self, features):
        return features.map.flatten(2).cummin(dim=2).values[:, :3, -1]


@pytest.mark.slow
def test_a_head_without_a_form_in_onnx_is_named(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    backbone = rotary(1)
    argus = Argus(backbone, {"odd": Cumulative(backbone.info, Classify.small())}, CANVAS)
    with pytest.raises(ArgusError, match=r"head_odd has no form in ONNX: .*cummin.*leave that head out"):
        argus.export_onnx(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_of_a_failed_export(tmp_path, monkeypatch):
    argus = small_argus(rotary(1), "kind")
    (tmp_path / "argus.pt2").write_text("of yesterday")
    (tmp_path / "export.json").write_text('{"files": {}, "licenses": {}}')
    monkeypatch.setattr("argus_core.export.verify._apart", lambda a, b: 1.0)
    with pytest.raises(ArgusError, match="do not use these files"):
        argus.export_torch(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"argus.pt2", "export.json"}
    assert (tmp_path / "argus.pt2").read_text() == "of yesterday"


def test_the_command_exports_and_says_what_was_written(tmp_path, named):
    small_argus(named(lambda: rotary(1).model), "kind").save(tmp_path / "model")
    arguments = ["export", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--format"]
    done = CliRunner().invoke(app, [*arguments, "torch", "--no-verify"])
    assert done.exit_code == 0 and "head_kind.pt2" in done.stdout and "not verified" in done.stdout
    assert (tmp_path / "out/argus.pt2").exists()
    refused = CliRunner().invoke(app, [*arguments, "onnx", "--variant", "bf16_backbone"])
    assert isinstance(refused.exception, ArgusError) and "hold float32 weights" in str(refused.exception)


def test_names_that_are_no_file_names_are_refused(tmp_path):
    argus = small_argus(rotary(1), "kind")
    argus.add("a/b", argus.remove("kind"))
    with pytest.raises(ArgusError, match="'a/b' cannot name a file"):
        argus.export_torch(tmp_path)


@pytest.mark.parametrize("engine", ["onnx", "quant", "openvino"])
def test_missing_extras_are_named(tmp_path, monkeypatch, engine):
    argus = small_argus(rotary(1), "kind")

    def without(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("argus_core.common.extras.import_module", without)
    ask = {
        "onnx": lambda: argus.export_onnx(tmp_path),
        "quant": argus.quantize_int8,
        "openvino": lambda: argus.compile("openvino"),
    }[engine]
    with pytest.raises(ArgusError, match=rf"pip install 'argus-perception\[{engine}\]'"):
        ask()


@pytest.mark.slow
@pytest.mark.parametrize("make", [rotary, learned])
def test_int8_weights_answer_nearly_as_before(tmp_path, make):
    pytest.importorskip("torchao")
    argus = small_argus(make(), "kind", "masks", "metres")
    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    before = argus.perceive([image, image[:50]])
    tokens = argus.features(image).maps[1]
    assert argus.quantize_int8() is argus
    assert argus.quantize_int8() is argus  # nothing is left to do
    drift = (argus.features(image).maps[1] - tokens).norm() / tokens.norm()
    assert 1e-5 < drift < 0.05
    after = argus.perceive([image, image[:50]])
    for old, new in zip(before, after, strict=True):
        assert old["kind"].class_name == new["kind"].class_name
        assert np.abs(old["metres"].metres - new["metres"].metres).mean() < 0.3
    with pytest.raises(ArgusError, match="export before quantize_int8"):
        argus.export_torch(tmp_path)


def test_inductor_compiles_the_backbone_with_frozen_weights(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda network, **options: calls.append(options) or network)
    argus = small_argus(rotary(1), "kind")
    image = np.zeros((50, 70, 3), dtype=np.uint8)
    expected = argus.features(image).prefix[0]
    assert torch.equal(argus.compile("inductor").features(image).prefix[0], expected)
    assert calls == [{"options": {"freezing": True}}]


def test_engines_say_what_they_cannot_do():
    argus = small_argus(rotary(1), "kind")
    with pytest.raises(ArgusError, match="unknown engine 'inducktor'; did you mean 'inductor'"):
        argus.compile("inducktor")
    with pytest.raises(ArgusError, match="'inductor' has no precision"):
        argus.compile("inductor", "int8")
    with pytest.raises(ArgusError, match="unknown precision 'int9'"):
        argus.compile("openvino", "int9")
    with pytest.raises(ArgusError, match="runs on the CPU"):
        argus.to("meta")
        argus.compile("openvino")
