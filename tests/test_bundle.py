"""A saved Argus comes back bit for bit, from a folder whose code is never run."""

from __future__ import annotations

import json
import stat

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from argus_core.argus import Argus
from argus_core.backbones import hub, load_backbone
from argus_core.build import build_head
from argus_core.bundle.plain import portable
from argus_core.canvas import Canvas
from argus_core.checkpoint import load_head
from argus_core.errors import ArgusError
from argus_core.registry import HEADS as REGISTRY
from argus_core.tasks.detect import Detect
from argus_core.tensors import tensors_sha256
from backbone_help import timm_file
from bundle_help import HEADS, answers, make_argus, make_head
from broken_heads import Good

SMALL = "model.bf16_backbone.safetensors"


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def argus(backbone, tmp_path_factory):
    made = make_argus(backbone, tmp_path_factory.mktemp("text"))
    made.head("boxes").record = {
        "data": {"spec": "coco:/data/somewhere/coco", "license": "cc-by-4.0"},
        "license": {"id": "mit"},
        "scores": [{"protocol": "coco", "metrics": {"AP": 0.5, "AP/ship": float("nan")}}],
    }
    return made


@pytest.fixture(scope="module")
def said(argus):
    return answers(argus)


@pytest.fixture(scope="module")
def folder(argus, tmp_path_factory):
    to = tmp_path_factory.mktemp("bundle") / "deep" / "inside"
    argus.save(to, per_head=True)
    argus.save(to, variant="bf16_backbone")
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
    first, second = (json.loads((each / "config.json").read_text())["argus"] for each in (folder, tmp_path))
    assert first.pop("files").keys() - second.pop("files").keys() == {SMALL}
    assert first == second


def test_a_fresh_process_without_network_says_the_same(folder, said, python, tmp_path):
    code = f"""
import os, socket, sys
def refuse(*a): raise OSError("the network was touched")
socket.socket.connect = refuse
from argus_core import Argus
argus = Argus.load({str(folder)!r})
sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
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


def test_variants_of_another_argus_are_forgotten(argus, backbone, tmp_path):
    boxes = Argus(backbone, {"boxes": argus.head("boxes")})
    boxes.save(tmp_path, "bf16_backbone")
    assert Argus.load(tmp_path, "bf16_backbone").head("boxes").canvas == HEADS["boxes"][3]
    with pytest.raises(ArgusError, match="was not saved with variant None; it has model.bf16"):
        Argus.load(tmp_path)
    Argus(backbone, {"match": argus.head("match")}, Canvas(64)).save(tmp_path)
    assert Argus.load(tmp_path).canvas == Canvas(64)
    with pytest.raises(ArgusError, match="was not saved with variant 'bf16_backbone'"):
        Argus.load(tmp_path, "bf16_backbone")
    with pytest.raises(ArgusError, match="unknown variant 'bf16'; did you mean 'bf16_backbone'"):
        Argus.load(tmp_path, "bf16")


def test_positional_periods_and_preprocessing_are_those_of_the_weights(tmp_path, backbone):
    tensors = {**backbone.model.state_dict(), "rope.periods": backbone.model.rope.periods * 1.37}
    save_file(tensors, tmp_path / "weights.safetensors")
    other = load_backbone("tiny", tmp_path / "weights.safetensors", precision="fp32")
    made = Argus(other, {"metres": make_head(other.info, "metres")})
    made.save(tmp_path)
    made.save(tmp_path, "bf16_backbone")
    for variant in (None, "bf16_backbone"):
        again = Argus.load(tmp_path, variant).backbone
        assert torch.equal(again.model.rope.periods, backbone.model.rope.periods * 1.37)
        assert again.options == {"precision": "fp32"} and not again._low


def test_other_networks_keep_their_statistics_options_and_terms(tmp_path):
    name = "mobilenetv3_small_050"
    given = {"mean": [0.1, 0.2, 0.3], "license": "mit", "pad_type": "same"}
    made = load_backbone(f"timm:{name}", timm_file(tmp_path / "w.safetensors", name), **given)
    torch.manual_seed(0)
    head = build_head("detect.fcos", made.info, Detect.small(), {"width": 16, "depth": 1, "layers": [-2]})
    argus = Argus(made, {"boxes": head}, Canvas(96))
    argus.save(tmp_path)
    again = Argus.load(tmp_path)
    assert (again.backbone.license, again.backbone.mean, again.backbone.std) == ("mit", (0.1, 0.2, 0.3), made.std)
    assert again.backbone.options == given and again.backbone.name == made.name
    assert answers(again) == answers(argus)


def test_how_a_head_was_told_to_decode_is_kept(argus, backbone, tmp_path):
    head = make_head(backbone.info, "boxes")
    head.decoding = type(head.decoding)(score=0.01, soft=True)
    Argus(backbone, {"boxes": head}).save(tmp_path)
    assert Argus.load(tmp_path).head("boxes").decoding == head.decoding
    assert json.loads((tmp_path / "config.json").read_text())["argus"]["heads"]["boxes"]["decoding"]["soft"] is True


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
        (lambda t: t["heads.boxes.towers.scales"].add_(1), "head 'boxes' in .* is not the one config.json tells of"),
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
        (lambda c: c["backbone"].update(name="os"), "unknown backbone 'os'"),
        (lambda c: c["backbone"]["options"].update(pretrained=True), "'pretrained' .* could reach beyond"),
        (lambda c: c["backbone"]["options"].update(weights="/x"), "'weights' .* could reach beyond"),
        (lambda c: c["backbone"]["info"].update(prefix=1), "gives FeatureInfo.* was saved with FeatureInfo"),
        (lambda c: c["heads"]["boxes"]["options"].update(width=20), "head 'boxes': .* the head has .*20"),
        (lambda c: c["heads"]["boxes"]["options"].update(widht=20), "unknown option .*'widht'; did you mean 'width'"),
        (lambda c: c["heads"]["boxes"]["task"].update(classes=[]), "head 'boxes': task 'detect': classes"),
        (lambda c: c["heads"].pop("knn"), r"tensors of \['knn'\], heads that config.json does not have"),
        (lambda c: c["heads"].update({"heads.forward": c["heads"]["boxes"]}), "cannot name a head"),
        (lambda c: c["canvas"] or c.update(canvas={"height": -1}), "holds nothing"),
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
    monkeypatch.setattr(hub.huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(ArgusError, match=r"is a file; give the folder"):
        Argus.load(copy / "model.safetensors")
    for path in (tmp_path / "none" / "here", "./none/here", "a/b/c", "nothing", ""):
        with pytest.raises(ArgusError, match="there is no folder"):
            Argus.load(path) if path != "" else Argus.load("nothing-")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ArgusError, match="cannot be read|not a readable"):
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
    edit(tmp_path, lambda c: c["heads"]["odd"].update(distribution="argus-odd", version="3"))
    with pytest.raises(ArgusError, match="'odd' is detect.stranger of argus-odd 3"):
        Argus.load(tmp_path)


def test_what_could_not_be_loaded_is_not_saved(backbone, tmp_path):
    def refused(heads, message, **changes):
        argus = Argus(backbone, heads, Canvas(96))
        with pytest.raises(ArgusError, match=message):
            argus.save(tmp_path / "x")
        assert not (tmp_path / "x").exists()

    refused({"odd": Good(backbone.info, Detect.small())}, r"'odd' \(Good\) could not be built again")
    swapped = Stranger(backbone.info, Detect.small())
    swapped.name = "detect.fcos"
    refused({"odd": swapped}, r"'odd' \(Stranger\) could not be built again")
    refused({"../a b": make_head(backbone.info, "boxes")} if False else {"a b": make_head(backbone.info, "boxes")}, "'a b'")
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
    edit(copy, lambda c: c["heads"]["boxes"].update(head="modeling_argus:Trap"))
    with pytest.raises(ArgusError, match="unknown head"):
        Argus.load(copy)
    assert not (copy / "ran").exists()


def test_a_failed_save_leaves_the_old_one(argus, copy, said, monkeypatch):
    def broken(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr("argus_core.tensors.save_file", broken)
    with pytest.raises(OSError, match="disk is full"):
        argus.save(copy)
    assert {path.name for path in copy.iterdir()} == {"config.json", "model.safetensors"}
    assert answers(Argus.load(copy)) == said


class TestHub:
    """A hub id is asked for only where no folder of that name lies, and never with ARGUS_OFFLINE."""

    @pytest.fixture
    def calls(self, folder, monkeypatch):
        asked = []

        def snapshot(repository, revision, allow_patterns, local_files_only=False):
            asked.append((repository, revision, tuple(allow_patterns), local_files_only))
            if local_files_only and self.cached is None:
                raise hub.LocalEntryNotFoundError("nothing here")
            return str(self.cached if local_files_only else self.published)

        self.cached, self.published = None, folder
        monkeypatch.setattr(hub.huggingface_hub, "snapshot_download", snapshot)
        monkeypatch.setattr(hub, "_knock", lambda: asked.append("knock"))
        monkeypatch.delenv("ARGUS_OFFLINE", raising=False)
        return asked

    def test_fetched_once_of_one_revision(self, calls, folder, tmp_path):
        Argus.load("someone/argus", revision="v1")
        files = ("config.json", "model.safetensors")
        assert calls == [
            ("someone/argus", "v1", files, True),
            "knock",
            ("someone/argus", "v1", files, False),
        ]
        calls.clear()
        self.cached = folder
        Argus.load("someone/argus", "bf16_backbone")
        assert calls == [("someone/argus", None, ("config.json", SMALL), True)]
        self.cached = self.published = tmp_path  # of an older upload without these files
        with pytest.raises(ArgusError, match=r"has no config.json and no model.safetensors"):
            Argus.load("someone/argus")

    def test_offline(self, calls, monkeypatch):
        monkeypatch.setenv("ARGUS_OFFLINE", "1")
        with pytest.raises(ArgusError, match="no folder someone/argus here, and as a hub id: .*ARGUS_OFFLINE forbids"):
            Argus.load("someone/argus")
        assert [call[-1] for call in calls] == [True]

    def test_a_folder_wins(self, calls, copy, monkeypatch):
        monkeypatch.chdir(copy.parent)
        (copy.parent / "someone").mkdir(exist_ok=True)
        copy.rename(copy.parent / "someone" / "argus")
        Argus.load("someone/argus")
        assert not calls

    def test_unreachable(self, calls, monkeypatch):
        def shut():
            raise OSError("no route")

        monkeypatch.setattr(hub, "_knock", shut)
        with pytest.raises(ArgusError, match="fetching .* failed: no route"):
            Argus.load("someone/argus")


def test_metadata_lets_other_libraries_read_the_weights(folder):
    with safe_open(folder / SMALL, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
