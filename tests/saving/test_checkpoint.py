"""Saved heads: the same answers again from one file, no code run, and misfits named."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import argus_core
from argus_core.common.deprecation import RENAMED, ArgusDeprecationWarning, Moved
from argus_core.common.tensors import tensors_sha256, write_tensors
from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in
from argus_core.registry import HEADS
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, load_state, read_tensors, save_head
from argus_core.saving.origin import NotInstalled
from argus_core.tasks import Calibration
from argus_core.tasks.detect import Detect
from argus_core.testing.heads.subject import outputs
from argus_core.testing.kit.values import all_equal
from argus_core.tokens import FeatureInfo
from argus_heads import fcos_detect

INFO = FeatureInfo((24, 32, 40), (8, 16, 32), prefix=0)
TASK = Detect(classes=("cat", "traffic light", "Ж"))
FCOS = {"width": 16, "depth": 1, "layers": [-2]}
TOWER = {"width": 16, "convs": 1, "residuals": 1, "text_dim": 24}


def build(name="detect.fcos", **options):
    torch.manual_seed(0)
    return build_head(name, INFO, TASK, options or FCOS).eval()


def answers(head):
    layers = head.needs.resolve(INFO).layers
    return outputs(head, TASK.example(INFO, layers, (64, 96), 2, torch.Generator().manual_seed(0))[0])


def test_a_head_comes_back_whole_and_ready_to_use(tmp_path):
    head, record = build(), {"score": 0.5, "nested": {"list": [1, None]}}
    save_head(tmp_path / "deep" / "head.safetensors", head.train(), record)
    again, again_record = load_head(str(tmp_path / "deep" / "head.safetensors"))
    assert again_record == record and not again.training
    assert (again.name, again.info, again.task) == ("detect.fcos", INFO, TASK)
    assert again.options == head.options and again.needs == head.needs
    assert all_equal(answers(head.eval()), answers(again))
    assert tensors_sha256(head.state_dict()) == tensors_sha256(again.state_dict())


def test_a_calibration_is_kept(tmp_path):
    head = build()
    head.calibration = Calibration(1.5, -0.25)
    save_head(tmp_path / "head.safetensors", head, {})
    assert load_head(tmp_path / "head.safetensors")[0].calibration == head.calibration
    head.calibration = None
    save_head(tmp_path / "head.safetensors", head, {})
    assert load_head(tmp_path / "head.safetensors")[0].calibration is None


def test_a_head_of_a_later_contract_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("argus_core.saving.checkpoint.API_VERSION", "3.2")
    save_head(tmp_path / "head.safetensors", build(), {})
    monkeypatch.undo()
    with pytest.raises(ArgusError, match=r"under version 3\.2 of the contract with plugins, here is 1\.0; pip install"):
        load_head(tmp_path / "head.safetensors")


def test_other_tensors_may_be_saved_in_place_of_the_heads_own(tmp_path):
    head = build()
    averaged = {key: value + 1 for key, value in head.state_dict().items()}
    save_head(tmp_path / "head.safetensors", head, {}, averaged)
    assert tensors_sha256(load_head(tmp_path / "head.safetensors")[0].state_dict()) == tensors_sha256(averaged)


def test_class_vectors_travel_with_the_head(tmp_path):
    text = tmp_path / "text.safetensors"
    ClassText(TASK.classes, stand_in(3, 24) * -1, "a model", ("a {}",)).save(text)
    head = build("detect.split_tower", **TOWER, layers=[-2], text=str(text))
    save_head(tmp_path / "head.safetensors", head, {})
    text.unlink()
    assert all_equal(answers(load_head(tmp_path / "head.safetensors")[0]), answers(head))


def test_the_file_is_safetensors_with_json_and_nothing_else(tmp_path):
    path = tmp_path / "head.safetensors"
    save_head(path, build(), {"a": 1})
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert set(header.pop("__metadata__")) == {"argus"}
    assert all(entry["dtype"] == "F32" for entry in header.values())
    assert b"pickle" not in raw and [file.name for file in tmp_path.iterdir()] == ["head.safetensors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("towers.reg.weight"), r"missing towers\.reg\.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected extra"),
        (lambda s: s.update({"towers.scales": torch.ones(4)}), r"towers\.scales is \(4,\), the head has \(5,\)"),
        (lambda s: s.clear(), "and [0-9]+ more"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    head = build()
    before = tensors_sha256(head.state_dict())
    state = {key: value + 1 for key, value in head.state_dict().items()}
    change(state)
    with pytest.raises(ArgusError, match=f"the file does not fit head 'detect.fcos': .*{message}"):
        load_state(head, state, "the file")
    assert tensors_sha256(head.state_dict()) == before


def test_files_that_are_no_saved_heads_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ArgusError, match="there is no file"):
        load_head(path)
    path.write_bytes(b"\x80\x04 a pickle would start like this")
    with pytest.raises(ArgusError, match="not a readable safetensors file"):
        load_head(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ArgusError, match="not a saved head"):
        load_head(path)


class Mine(fcos_detect.FCOS):
    """A head that others do not have."""


def change(path, **values):
    """Put other values into a file's metadata; None takes one out."""
    metadata, tensors = read_tensors(path)
    merged = {key: value for key, value in {**metadata, **values}.items() if value is not None}
    write_tensors(path, tensors, {"argus": json.dumps(merged)})


@pytest.fixture
def mine(tmp_path):
    """A saved head that is not registered any more."""
    path = tmp_path / "head.safetensors"
    HEADS.register("detect.mine", Mine)
    try:
        save_head(path, build("detect.mine"), {})
    finally:
        HEADS.unregister("detect.mine")
    return path


def test_a_file_says_who_brought_its_head(tmp_path, mine):
    save_head(tmp_path / "own.safetensors", build(), {})
    metadata = read_tensors(tmp_path / "own.safetensors")[0]
    own = {"distribution": "argus-perception", "version": argus_core.__version__}
    assert metadata["origin"] == {"head": own, "task": own}
    assert metadata["api_version"] == argus_core.__api_version__
    by_hand = read_tensors(mine)[0]["origin"]["head"]
    assert by_hand == {"distribution": "registered by hand", "version": "", "value": f"{__name__}:Mine"}


@pytest.mark.parametrize(
    ("origin", "advice"),
    [
        (None, r"call argus_core\.register\('detect\.mine', Mine\), or add --plugin FILE\.py:Mine"),
        ({}, "install the package that has it, or add --plugin"),
        ({"head": {"distribution": "argus-mine", "version": "2.1"}}, "pip install argus-mine==2.1"),
        ({"head": {"distribution": "argus-perception", "version": "99.0"}}, "pip install argus-perception==99.0"),
        (
            {"head": {"distribution": "file m.py:Mine", "version": ""}},
            r"comes from the file m\.py:Mine: add --plugin",
        ),
    ],
)
def test_a_head_that_is_not_installed_is_named_with_what_to_install(mine, origin, advice):
    if origin is not None:
        change(mine, origin=origin)
    with pytest.raises(NotInstalled, match=f"{mine}: head 'detect.mine' is not installed here; .*{advice}"):
        load_head(mine)
    assert "detect.mine" not in {entry.name for entry in HEADS.entries()}


def test_a_task_that_is_not_installed_is_named_with_what_to_install(tmp_path):
    path = tmp_path / "head.safetensors"
    save_head(path, build(), {})
    task = {"distribution": "argus-spots", "version": "1"}
    change(path, task={"task": "spot", "classes": ["a"]}, origin={"task": task})
    with pytest.raises(NotInstalled, match="task 'spot' is not installed here; pip install argus-spots==1"):
        load_head(path)


def test_a_head_that_cannot_be_imported_says_so_and_whether_another_version_had_it(mine, install):
    install("argusmine", "argus.heads", {"detect.mine": "nowhere_at_all:Mine"})  # version 1.2
    change(mine, origin={"head": {"distribution": "argusmine", "version": "1.2"}})
    with pytest.raises(NotInstalled, match=r"detect\.mine = nowhere_at_all:Mine .*could not be imported") as error:
        load_head(mine)
    assert "pip install argusmine==" not in str(error.value)
    change(mine, origin={"head": {"distribution": "argusmine", "version": "1.1"}})
    with pytest.raises(NotInstalled, match=r"could not be imported.*pip install argusmine==1\.1"):
        load_head(mine)


def test_files_from_before_origins_were_kept_load(tmp_path):
    path = tmp_path / "head.safetensors"
    save_head(path, build(), {"a": 1})
    change(path, origin=None, api_version=None)
    assert load_head(path)[1] == {"a": 1}


def test_a_misfit_of_another_version_names_both(tmp_path):
    path = tmp_path / "head.safetensors"
    save_head(path, build(), {}, {"a": torch.zeros(1)})
    with pytest.raises(ArgusError, match="was it saved by another version or option"):
        load_head(path)
    change(path, origin={"head": {"distribution": "argus-perception", "version": "0.0.9"}})
    here = argus_core.__version__
    with pytest.raises(ArgusError, match=f"saved with argus-perception 0.0.9, here is {here}"):
        load_head(path)


def test_a_name_that_points_to_a_file_is_not_run(tmp_path):
    path, trap = tmp_path / "head.safetensors", tmp_path / "trap.py"
    trap.write_text("raise SystemExit('run')")
    save_head(path, build(), {})
    for name in (f"{trap}:Trap", str(trap)):
        change(path, head=name)
        with pytest.raises(NotInstalled, match="is not installed here"):
            load_head(path)
        change(path, head="detect.fcos", task={"task": name, "classes": []})
        with pytest.raises(NotInstalled, match="is not installed here"):
            load_head(path)


def test_renamed_heads_load_with_a_warning(tmp_path, monkeypatch):
    path = tmp_path / "head.safetensors"
    save_head(path, build(), {})
    change(path, head="detect.old")
    gone = Moved("detect.fcos", since="0.1", removed_in="0.3")
    monkeypatch.setitem(RENAMED["head"], "detect.old", gone)
    warning = r"head 'detect\.old' is deprecated since argus-perception 0\.1 and gone in 0\.3; use detect\.fcos"
    with pytest.warns(ArgusDeprecationWarning, match=warning):
        head = load_head(path)[0]
    assert head.name == "detect.fcos"  # and under that name it is saved again
    with pytest.warns(ArgusDeprecationWarning, match=warning):
        assert HEADS.find("old").name == "detect.fcos"


def test_the_digest_sees_names_types_shapes_and_values():
    base = {"a": torch.arange(6.0), "b": torch.ones(1)}
    others = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].half(), "b": base["b"]},
        {"a": base["a"].view(2, 3), "b": base["b"]},
        {"a": base["a"].flip(0), "b": base["b"]},
        {"a": base["a"]},
    ]
    digests = {tensors_sha256(tensors) for tensors in [base, *others]}
    assert len(digests) == 6
    assert tensors_sha256(dict(reversed(base.items()))) == tensors_sha256(base)
    assert tensors_sha256({"a": base["a"].view(2, 3).T.contiguous().T.reshape(6), "b": base["b"]}) in digests


def test_metadata_reads_without_building_anything(tmp_path):
    save_head(tmp_path / "head.safetensors", build(), {"a": 1})
    metadata, tensors = read_tensors(tmp_path / "head.safetensors")
    assert metadata["record"] == {"a": 1} and metadata["task"]["classes"][-1] == "Ж"
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
