"""Files, configurations and heads that do not fit are named, and nothing is written that could not be read."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.canvas import Canvas
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.registry import HEADS as REGISTRY
from argus_core.saving import source
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import save_head
from argus_core.tasks.detect import Detect
from broken_heads import Good
from bundle_help import answers, make_argus, make_head


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def argus(backbone, tmp_path_factory):
    return make_argus(backbone, tmp_path_factory.mktemp("text"), ("boxes", "masks", "metres", "knn"))


@pytest.fixture(scope="module")
def folder(argus, tmp_path_factory):
    to = tmp_path_factory.mktemp("bundle")
    argus.save(to)
    return to


@pytest.fixture
def copy(folder, tmp_path):
    """A bundle of one's own to damage."""
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def edit(folder, change):
    """Change the configuration's values in place."""
    values = json.loads((folder / "config.json").read_text())
    change(values["argus"])
    (folder / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("heads.boxes.towers.reg.weight"), r"head 'boxes': .*missing towers\.reg\.weight"),
        (lambda t: t.update({"heads.masks.new": torch.zeros(1)}), "head 'masks': .*unexpected new"),
        (
            lambda t: t.update({"heads.knn.bank": torch.zeros(7, 5).half()}),
            r"head 'knn': .*bank is \(7, 5\), the head has \(7, 96\)",
        ),
        (lambda t: [t.pop(k) for k in list(t) if "metres" in k], "head 'metres': .*and .* more"),
        (lambda t: t["heads.boxes.towers.scales"].add_(1), "head 'boxes' in .* is not the one that config"),
        (lambda t: t.update({"heads.ghost.a": torch.zeros(1)}), r"tensors of \['ghost'\]"),
        (lambda t: t.update({"stray": torch.zeros(1)}), "holds stray, of neither backbone nor head"),
        (lambda t: t.pop("backbone.norm.weight"), r"1 missing \(norm.weight\)"),
        (lambda t: t.update({"backbone.x": torch.zeros(1)}), r"1 unexpected \(x\)"),
        (lambda t: t.update({"backbone.norm.weight": torch.ones(5)}), "size mismatch for norm.weight"),
        (lambda t: t["backbone.rope.periods"].mul_(2), "damaged or of different models"),
    ],
)
def test_tensors_that_do_not_fit_are_named(copy, change, message):
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(ArgusError, match=message):
        Argus.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="argus-bundle-9"), "'argus-bundle-9', this version reads .*; update"),
        (lambda c: c.update(code="x.py"), "unknown option of .*config.json"),
        (lambda c: c.pop("canvas"), "canvas = .* Field required"),
        (lambda c: c["heads"]["boxes"].update(parameters="many"), r"heads\.boxes\.parameters = 'many'"),
        (lambda c: c["backbone"].update(name="timm:hf-hub:a/b"), "unknown timm model"),
        (lambda c: c["backbone"].update(name="os"), "backbone 'os' is not installed here"),
        (lambda c: c["backbone"]["options"].update(pretrained=True), "'pretrained' .* could reach beyond"),
        (lambda c: c["backbone"]["options"].update(weights="/x"), "'weights' .* could reach beyond"),
        (lambda c: c["backbone"]["info"].update(prefix=1), "gives FeatureInfo.* was saved with FeatureInfo"),
        (lambda c: c["heads"]["boxes"]["options"].update(width=20), "head 'boxes': .* the head has .*20"),
        (lambda c: c["heads"]["boxes"]["options"].update(widht=20), "unknown option .*'widht'; did you mean 'width'"),
        (lambda c: c["heads"]["boxes"]["task"].update(classes=[]), "head 'boxes': a task needs one or more"),
        (lambda c: c["heads"]["boxes"]["task"].pop("task"), "'boxes' is .*task .* is not installed"),
        (lambda c: c["heads"]["boxes"].update(decoding={"sotf": True}), "unknown option of .* 'sotf'; did you"),
        (lambda c: c["heads"]["knn"].update(decoding={"soft": True}), "'classify.knn' has no decoding options"),
        (lambda c: c["heads"].pop("knn"), r"tensors of \['knn'\], heads that config.json does not have"),
        (lambda c: c["heads"].update({"more": c["heads"]["boxes"]}), "head 'more': .*heads.more, does not fit"),
        (lambda c: c["canvas"] or c.update(canvas={"height": -1}), "is empty"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(copy, change, message):
    edit(copy, change)
    with pytest.raises(ArgusError, match=message):
        Argus.load(copy)


def test_a_head_of_another_version_says_what_to_install(copy):
    def change(config):
        config["heads"]["boxes"].update(version="0.0.7")
        config["heads"]["boxes"]["options"].update(width=20)

    edit(copy, change)
    with pytest.raises(ArgusError, match=r"saved with argus-perception 0\.0\.7, here is .*: install that"):
        Argus.load(copy)


def test_folders_and_files_that_hold_no_argus(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "fetch", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(ArgusError, match=r"is a file; give the folder"):
        Argus.load(copy / "model.safetensors")
    for path in (tmp_path / "none" / "here", "./none/here", "a/b/c", "nothing"):
        with pytest.raises(ArgusError, match="there is no folder"):
            Argus.load(path)
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ArgusError, match="cannot be read as weights"):
        Argus.load(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ArgusError, match="there is no"):
        Argus.load(copy)
    (copy / "config.json").write_text("{}")
    with pytest.raises(ArgusError, match="is no saved Argus"):
        Argus.load(copy)
    (copy / "config.json").write_text("[")
    with pytest.raises(ArgusError, match="cannot be read as JSON"):
        Argus.load(copy)


class Stranger(Good):
    """A head that somebody else brings."""


def test_a_head_that_is_not_installed_is_named_or_left_out(backbone, tmp_path):
    REGISTRY.register("detect.stranger", Stranger)
    try:
        own = build_head("detect.stranger", backbone.info, Detect.small())
        argus = Argus(backbone, {"odd": own, "boxes": make_head(backbone.info, "boxes")}, Canvas(96))
        argus.save(tmp_path)
        assert answers(Argus.load(tmp_path)) == answers(argus)
    finally:
        REGISTRY.unregister("detect.stranger")
    with pytest.raises(ArgusError, match=r"'odd' is detect\.stranger of registered by hand.*allow_missing=True"):
        Argus.load(tmp_path)
    rest = Argus.load(tmp_path, allow_missing=True)
    assert list(rest.heads) == ["boxes"] and list(rest.missing) == ["odd"] and not argus.missing
    with pytest.raises(ArgusError, match="odd could not be loaded and would be lost"):
        rest.save(tmp_path)
    rest.save(tmp_path / "elsewhere")
    result = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert result.exit_code == 0 and "warning: odd is left out" in result.stderr and "boxes" in result.stdout
    edit(tmp_path, lambda c: c["heads"]["odd"].update(distribution="argus-odd", version="3"))
    with pytest.raises(ArgusError, match=r"'odd' is detect\.stranger of argus-odd 3: .*pip install argus-odd==3"):
        Argus.load(tmp_path)


def test_a_backbone_that_is_not_installed_is_named(copy):
    def elsewhere(config):
        config["backbone"] |= {"name": "hers", "origin": {"distribution": "argus-hers", "version": "2"}}

    edit(copy, elsewhere)
    with pytest.raises(ArgusError, match=r"backbone 'hers' is not installed here; pip install argus-hers==2"):
        Argus.load(copy)


def test_what_could_not_be_loaded_is_not_saved(backbone, tmp_path):
    def refused(heads, message):
        argus = Argus(backbone, heads, Canvas(96))
        with pytest.raises(ArgusError, match=message):
            argus.save(tmp_path / "x")
        assert not (tmp_path / "x").exists()

    refused({"odd": Good(backbone.info, Detect.small())}, r"'odd' \(Good\) could not be built again")
    swapped = Stranger(backbone.info, Detect.small())
    swapped.name = "detect.fcos"
    refused({"odd": swapped}, r"'odd' \(Stranger\) could not be built again")
    refused({"a/b": make_head(backbone.info, "boxes")}, "cannot be saved under this name")
    changed = load_backbone("tiny")
    argus = Argus(changed, {"boxes": make_head(changed.info, "boxes")})
    changed.model.norm.weight.add_(1)
    with pytest.raises(ArgusError, match="not those it was loaded with"):
        argus.save(tmp_path / "x")
    with pytest.raises(ArgusError, match="not those it was loaded with"):
        Argus(load_backbone("tiny").half(), {}).save(tmp_path / "x")
    changed.name = "mine"
    with pytest.raises(ArgusError):
        argus.save(tmp_path / "x")


def test_code_in_the_folder_is_not_run(copy, monkeypatch):
    trap = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
    for name in ("modeling_argus.py", "sitecustomize.py", "argus_heads.py", "timm.py", "__init__.py"):
        (copy / name).write_text(trap)
    values = json.loads((copy / "config.json").read_text())
    values["auto_map"] = {"AutoModel": "modeling_argus.ArgusModel"}
    (copy / "config.json").write_text(json.dumps(values))
    Argus.load(copy)
    for name in ("modeling_argus:Trap", "modeling_argus.py", f"{copy}/modeling_argus.py:Trap"):
        edit(copy, lambda c, name=name: c["heads"]["boxes"].update(head=name))
        with pytest.raises(ArgusError, match="is not installed here"):
            Argus.load(copy)
    assert not (copy / "ran").exists()


def test_a_failed_save_leaves_the_old_one(argus, copy, monkeypatch):
    def broken(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr("argus_core.common.tensors.save_file", broken)
    with pytest.raises(OSError, match="disk is full"):
        argus.save(copy)
    assert {path.name for path in copy.iterdir()} == {"config.json", "model.safetensors"}
    assert answers(Argus.load(copy)) == answers(argus)


def test_a_model_and_a_head_that_do_not_say_what_they_see_are_refused_in_words(argus, copy, tmp_path):
    edit(copy, lambda c: c["heads"]["boxes"].update(canvas=None))
    with pytest.raises(ArgusError, match=r"head 'boxes' in .* without the canvas .* its entry in config\.json"):
        Argus.load(copy)
    save_head(tmp_path / "own.safetensors", argus.head("masks"), {})
    with pytest.raises(ArgusError, match=r"own\.safetensors: its head was saved without a record of backbone"):
        Argus.from_runs([tmp_path / "own.safetensors"])
