"""Terms: who is bound by which, and a demand for permissive ones that names what falls short."""

from __future__ import annotations

import sys

import pytest

from argus_arena.cli import main
from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.common.license import (
    APACHE,
    ATTRIBUTION,
    EUPE,
    MIT,
    NONCOMMERCIAL,
    UNKNOWN,
    License,
    find_license,
    require,
    work_licenses,
)
from argus_core.errors import ArgusError
from backbone_help import timm_file
from bundle_help import make_head


@pytest.fixture(scope="module")
def argus():
    backbone = load_backbone("tiny")
    return Argus(backbone, {name: make_head(backbone.info, name) for name in ("boxes", "masks")})


def test_parts_and_the_terms_that_bind(argus, monkeypatch):
    assert dict(argus.licenses()) == dict.fromkeys(("code", "backbone", "head boxes", "head masks"), APACHE)
    monkeypatch.setattr(argus.head("boxes"), "record", {"license": vars(EUPE), "data": {"license": "CC-BY-4.0"}})
    found = argus.licenses()
    assert (found["head boxes"], found["data of boxes"], found["head masks"]) == (EUPE, ATTRIBUTION, APACHE)
    assert found.binding is EUPE and found.to_dict()["binding"]["id"] == EUPE.id
    assert found.to_dict()["parts"]["data of boxes"] == "cc-by-4.0"
    text = str(found)
    assert text.splitlines()[-1] == f"binding: {EUPE.name} ({EUPE.id})"
    assert "Apache License 2.0 (apache-2.0): code, backbone, head masks\n" in text
    assert text.count("heads trained on these weights too") == 1


def test_heads_without_a_record_are_under_the_terms_of_their_backbone():
    found = work_licenses(EUPE.id, {"boxes": {}, "own": {"license": "mit"}})
    assert (found["head boxes"], found["head own"]) == (EUPE, MIT)
    assert work_licenses("", {})["backbone"] is UNKNOWN


def test_a_saved_argus_keeps_the_terms_of_its_parts(argus, monkeypatch, tmp_path):
    monkeypatch.setattr(argus.head("boxes"), "record", {"license": vars(EUPE), "data": {"license": "cc-by-nc-4.0"}})
    argus.save(tmp_path, per_head=True)
    again = Argus.load(tmp_path).licenses()
    assert dict(again) == dict(argus.licenses()) and again.binding is EUPE
    assert f'"id": "{EUPE.id}"' in (tmp_path / "config.json").read_text()


def test_what_is_not_permissive_is_named(argus, monkeypatch):
    require(argus, "permissive")
    require(argus, None)
    monkeypatch.setattr(argus.head("masks"), "record", {"data": {"license": "cc-by-nc-4.0"}})
    monkeypatch.setattr(argus.backbone, "license", "some-terms")
    require(argus, None)
    with pytest.raises(ArgusError) as error:
        require(argus, "permissive")
    refused = str(error.value)
    assert "backbone, heads boxes and masks: some-terms (some-terms); data of masks: " in refused
    assert NONCOMMERCIAL.name in refused and "code" not in refused


def test_records_and_unlisted_terms():
    own = License("my-terms", "My Terms", True, False, "")
    require({"a": own, "b": {"license": "MIT"}, "c": {"license": vars(APACHE)}}, "permissive")
    for terms in ({}, {"license": None}, {"license": "cc-by-sa-4.0"}, {"license": vars(EUPE)}, EUPE, UNKNOWN):
        with pytest.raises(ArgusError, match="not permissive: part: "):
            require({"part": terms}, "permissive")
    with pytest.raises(ArgusError, match="unknown level of licences 'permisive'; did you mean 'permissive'"):
        require({}, "permisive")
    assert find_license("CC0-1.0").commercial


@pytest.fixture
def arena(monkeypatch, capsys, tmp_path):
    """``arena("heads")``: exit code and everything that was printed, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(line):
        monkeypatch.setattr(sys, "argv", ["arena", *line.split()])
        try:
            main()
        except SystemExit as stop:
            return stop.code or 0, "".join(capsys.readouterr())
        return 0, "".join(capsys.readouterr())

    return run


def test_the_arena_refuses_weights_before_it_writes_anything(arena, tmp_path):
    name = "mobilenetv3_small_050"
    timm_file(tmp_path / "w.safetensors", name)
    backbone = f"--backbone timm:{name} --weights w.safetensors --require-license permissive"
    small = "--data scenes:images=4,size=64 --canvas 64"
    for line in (
        f"cache {small} {backbone} --out cached",
        f"train {small} {backbone} --head detect.fcos --set width=16 --out run",
    ):
        code, text = arena(line)
        assert code == 2 and "not permissive: backbone: unknown terms (unknown)" in text, text
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors"}
    code, text = arena(f"cache {small} {backbone} --backbone-set license=mit --layers -2 --out cached")
    assert code == 0, text
    head = "--head detect.fcos --set width=16 --set layers=[-2] --set steps=1 --set batch=2"
    code, text = arena(
        f"train --data scenes:images=4,size=64 --cache cached {head} --out run --require-license permissive"
    )
    assert code == 0, text
