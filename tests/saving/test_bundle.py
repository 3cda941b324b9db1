"""A saved Argus comes back bit for bit, from a folder whose code is never run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.canvas import Canvas
from argus_core.common.license import EUPE
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.saving.config import portable
from argus_core.saving.runs import load_run
from argus_core.tasks.detect import Detect
from backbone_help import timm_file
from bundle_help import HEADS, answers, make_argus, make_head, pictures

SMALL = "model.bf16_backbone.safetensors"


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def argus(backbone, tmp_path_factory):
    model = make_argus(backbone, tmp_path_factory.mktemp("text"))
    model.head("boxes").record = {
        "data": {"spec": "coco:/data/somewhere/coco", "license": "cc-by-4.0"},
        "license": {"id": "mit"},
        "scores": [{"protocol": "coco", "metrics": {"AP": 0.5, "AP/ship": float("nan")}}],
    }
    return model


@pytest.fixture(scope="module")
def said(argus):
    return answers(argus)


@pytest.fixture(scope="module")
def folder(argus, tmp_path_factory):
    to = tmp_path_factory.mktemp("bundle") / "deep" / "inside"
    argus.save(to, per_head=True)
    argus.save(to, variant="bf16_backbone")
    return to


def test_every_head_answers_as_before(argus, said, folder):
    again = Argus.load(folder)
    assert type(again) is Argus and not again.missing and not again.training
    assert list(again.heads) == list(HEADS)
    assert answers(again) == said
    for name in HEADS:
        one, two = argus.head(name), again.head(name)
        assert tensors_sha256(one.state_dict()) == tensors_sha256(two.state_dict()), name
        assert (one.name, one.task, one.needs, one.canvas) == (two.name, two.task, two.needs, two.canvas)
        assert two.options == one.options | ({"text": None} if name == "towers" else {})
    assert again.backbone.weights_sha256 == argus.backbone.weights_sha256
    assert again.passes() == argus.passes() and len(again.passes()) == 2


def test_a_second_round_changes_no_byte(folder, tmp_path):
    Argus.load(folder).save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    first, second = (json.loads((path / "config.json").read_text())["argus"] for path in (folder, tmp_path))
    assert first.pop("files").keys() - second.pop("files").keys() == {SMALL}
    assert first == second


def test_a_fresh_process_without_network_says_the_same(folder, said, python, tmp_path):
    code = f"""
import os, socket, sys
def refuse(*a): raise OSError("the network was touched")
socket.socket.connect = refuse
from argus_core import Argus
argus = Argus.load({str(folder)!r})
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from bundle_help import answers
print(answers(argus))
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == said


def test_what_is_known_of_a_head_travels_without_folders_of_this_machine(folder):
    text = (folder / "config.json").read_text()
    entry = json.loads(text)["argus"]["heads"]["boxes"]
    assert entry["record"]["data"]["spec"] == "coco:coco"
    assert entry["record"]["scores"][0]["metrics"] == {"AP": 0.5, "AP/ship": None}
    assert entry["task"]["classes"] == ["cat", "traffic light"] and entry["distribution"] == "argus-perception"
    assert "/data/" not in text and "text.safetensors" not in text
    assert Argus.load(folder).head("boxes").record == entry["record"]
    with pytest.raises(ArgusError, match="no plain JSON value"):
        portable({"a": [torch.zeros(1)]})
    assert portable(["folder:~/a/b/", "C:\\x\\y", "scenes:", "a/b", "timm:x", (1, True)]) == [
        "folder:b",
        "y",
        "scenes:",
        "a/b",
        "timm:x",
        [1, True],
    ]


def test_only_the_backbone_is_rounded_and_only_on_disk(argus, folder):
    stored = {name: load_file(folder / name) for name in ("model.safetensors", SMALL)}
    for key, value in stored[SMALL].items():
        rounded = key.startswith("backbone.") and not key.endswith("periods")
        exact = stored["model.safetensors"][key]
        assert torch.equal(value, exact.bfloat16() if rounded else exact), key
    again = Argus.load(folder, variant="bf16_backbone")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    live = again.backbone.model.state_dict()
    assert all(torch.equal(v.bfloat16().float(), live[k]) for k, v in argus.backbone.model.state_dict().items())
    assert tensors_sha256(again.heads.state_dict()) == tensors_sha256(argus.heads.state_dict())
    assert (folder / SMALL).stat().st_size < 0.75 * (folder / "model.safetensors").stat().st_size
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {
        "config.json",
        "model.safetensors",
        SMALL,
        *(f"heads/{name}.safetensors" for name in HEADS),
    }


def test_files_are_as_readable_as_any(folder):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.*")}
    assert len(modes) == 1, modes


def test_each_head_is_also_a_file_of_its_own(argus, folder):
    for name in HEADS:
        head, record = load_head(folder / "heads" / f"{name}.safetensors")
        assert head.canvas == argus.head(name).canvas and record["license"]["id"]
        assert tensors_sha256(head.state_dict()) == tensors_sha256(argus.head(name).state_dict())
    assert [*load_run(folder / "heads" / "boxes.safetensors")[0]] == ["boxes"]


def test_variants_of_another_argus_are_forgotten(argus, backbone, tmp_path):
    boxes = Argus(backbone, {"boxes": argus.head("boxes")})
    boxes.save(tmp_path, "bf16_backbone")
    assert Argus.load(tmp_path, "bf16_backbone").head("boxes").canvas == HEADS["boxes"][3]
    assert Argus.load(tmp_path).backbone.weights_sha256 == Argus.load(tmp_path, "bf16_backbone").backbone.weights_sha256
    with pytest.raises(ArgusError, match="was not saved with variant 'heads'; it has bf16_backbone"):
        Argus.load(tmp_path, "heads")
    Argus(backbone, {"match": argus.head("match")}, Canvas(64)).save(tmp_path)
    assert Argus.load(tmp_path).canvas == Canvas(64)
    with pytest.raises(ArgusError, match="was not saved with variant 'bf16_backbone'"):
        Argus.load(tmp_path, "bf16_backbone")
    with pytest.raises(ArgusError, match="unknown variant 'bf16'; known: bf16_backbone"):
        Argus.load(tmp_path, "bf16")


def test_positional_periods_and_preprocessing_are_those_of_the_weights(tmp_path, backbone):
    tensors = {**backbone.model.state_dict(), "rope.periods": backbone.model.rope.periods * 1.37}
    save_file(tensors, tmp_path / "weights.safetensors")
    other = load_backbone("tiny", tmp_path / "weights.safetensors", precision="fp32")
    other_argus = Argus(other, {"metres": make_head(other.info, "metres")})
    other_argus.save(tmp_path)
    other_argus.save(tmp_path, "bf16_backbone")
    for variant in (None, "bf16_backbone"):
        again = Argus.load(tmp_path, variant).backbone
        assert torch.equal(again.model.rope.periods, backbone.model.rope.periods * 1.37)
        assert again.options == {"precision": "fp32"} and again._asked == "fp32"


def test_other_networks_keep_their_statistics_options_and_terms(tmp_path):
    name = "mobilenetv3_small_050"
    options = {"mean": [0.1, 0.2, 0.3], "license": "mit", "pad_type": "same"}
    network = load_backbone(f"timm:{name}", timm_file(tmp_path / "w.safetensors", name), **options)
    torch.manual_seed(0)
    head = build_head("detect.fcos", network.info, Detect.small(), {"width": 16, "depth": 1, "layers": [-2]})
    argus = Argus(network, {"boxes": head}, Canvas(96))
    argus.save(tmp_path)
    again = Argus.load(tmp_path)
    assert (again.backbone.license, again.backbone.mean, again.backbone.std) == ("mit", (0.1, 0.2, 0.3), network.std)
    assert again.backbone.options == options and again.backbone.name == network.name
    assert answers(again) == answers(argus)


@pytest.mark.parametrize("variant", [None, "bf16_backbone"])
def test_a_published_backbone_needs_no_weights_but_the_bundles(variant, tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    tag = "vit_tiny_patch16_dinov3_qkvb"
    network = load_backbone("eupe_vitt16", timm_file(tmp_path / "w.safetensors", tag, num_classes=0))
    (tmp_path / "w.safetensors").unlink()
    argus = Argus(network, {"metres": make_head(network.info, "metres")})
    argus.save(tmp_path, variant)
    again = Argus.load(tmp_path, variant)
    assert again.licenses().binding is EUPE and again.backbone.name == "eupe_vitt16"
    assert torch.equal(again.backbone.model.rope.periods, network.model.rope.periods)
    if variant is None:
        assert answers(again) == answers(argus)
    before, after = (model.perceive(pictures()[0])["depth"].metres for model in (argus, again))
    assert abs(before - after).max() < 0.5 and before.std() > 0


def test_how_a_head_was_told_to_decode_is_kept(argus, backbone, tmp_path):
    head = make_head(backbone.info, "boxes")
    head.decoding = type(head.decoding)(score=0.01, soft=True)
    Argus(backbone, {"boxes": head}).save(tmp_path)
    assert Argus.load(tmp_path).head("boxes").decoding == head.decoding
    assert json.loads((tmp_path / "config.json").read_text())["argus"]["heads"]["boxes"]["decoding"]["soft"] is True


def test_metadata_lets_other_libraries_read_the_weights(folder):
    with safe_open(folder / SMALL, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_scores_of_exactly_these_weights_travel_with_a_head_of_a_run(argus, backbone, tmp_path):
    run, head = tmp_path / "run" / "boxes", argus.head("boxes")
    save_head(run / "best.safetensors", head, {"weights": {"step": 3}})
    sha = tensors_sha256(head.state_dict())
    row = {"protocol": "coco", "primary": "AP", "metrics": {"AP": 0.25}, "data": {"spec": "coco:/x/y"}, "seed": 3}
    (run / "result.json").write_text(json.dumps(row))
    (run / "scores").mkdir()
    for number, (name, digest) in enumerate({"mine": sha, "others": "0" * 64}.items()):
        (run / "scores" / f"{number}.json").write_text(json.dumps({**row, "protocol": name, "weights_sha256": digest}))
    loaded, record = load_head(run / "best.safetensors")
    assert record == {"weights": {"step": 3}}
    Argus(backbone, {"boxes": loaded}, Canvas(96)).save(tmp_path / "saved")
    loaded = Argus.load(tmp_path / "saved").head("boxes").record
    assert [row["protocol"] for row in loaded["scores"]] == ["coco", "mine"]
    assert loaded["scores"][0]["data"] == {"spec": "coco:y"} and "seed" not in loaded["scores"][0]
