"""Models without their backbone's weights, and models that a package brings under a name."""

import json

import pytest
import torch
from safetensors import safe_open

from argus_core import Argus, load_backbone
from argus_core.errors import ArgusError
from argus_core.registry.registry import MODELS
from bundle_help import answers, make_argus


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("made"), ("softmax", "masks", "boxes"))


@pytest.fixture
def folder(argus, tmp_path):
    argus.save(tmp_path / "heads", "heads")
    return tmp_path / "heads"


def test_heads_alone_are_stored_in_half_and_find_their_backbone_by_name(argus, folder):
    with safe_open(folder / "heads.safetensors", framework="pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert all(key.startswith("heads.") for key in stored)
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    again = Argus.load(folder)
    assert again.backbone.weights_sha256 == argus.backbone.weights_sha256
    for key, value in argus.heads.state_dict().items():
        loaded = again.heads.state_dict()[key]
        assert loaded.dtype == value.dtype and torch.equal(loaded, stored[f"heads.{key}"].to(value.dtype)), key
    again.save(folder.parent / "again", "heads")  # rounded once, then the same
    assert answers(Argus.load(folder.parent / "again")) == answers(again)


def test_other_weights_under_the_name_are_refused(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["argus"]["files"]["heads.safetensors"] = config["argus"]["backbone"]["weights_sha256"] = "0" * 64
    file.write_text(json.dumps(config))
    with pytest.raises(ArgusError, match=r"trained on tiny weights 0{12}, those here are \w{12}; install the weights"):
        Argus.load(folder)


def test_numbers_beyond_half_are_refused(argus, tmp_path):
    head = argus.head("masks")
    variance = head.norm.running_var.clone()
    head.norm.running_var.fill_(1e6)
    with pytest.raises(ArgusError, match=r"norm.running_var hold numbers beyond 65504"):
        argus.save(tmp_path / "large", "heads")
    head.norm.running_var.copy_(variance)
    assert not (tmp_path / "large").exists()


def test_a_registered_name_is_a_model_unless_a_folder_is_called_so(folder, tmp_path, monkeypatch):
    MODELS.register("small", lambda: folder)
    try:
        assert list(Argus.load("small").heads) == ["softmax", "masks", "boxes"]
        monkeypatch.chdir(tmp_path)
        (tmp_path / "small").mkdir()
        with pytest.raises(ArgusError, match="config"):
            Argus.load("small")
    finally:
        MODELS.unregister("small")
    with pytest.raises(ArgusError, match="there is no folder tiniest"):
        Argus.load("tiniest")
