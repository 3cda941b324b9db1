"""A folder for transformers: loaded offline by ``AutoModel``, it says what Argus says, to the last bit."""

from __future__ import annotations

import ast
import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.errors import ArgusError
from argus_core.saving.config import FILES, HEADS_ONLY
from bundle_help import answers, make_argus

CODE = """
import json, sys
import torch
from transformers import AutoModel
sys.path.insert(0, {tests!r})
from bundle_help import answers, pictures
said = {{}}
for variant in (None, "bf16_backbone"):
    model = AutoModel.from_pretrained({folder!r}, trust_remote_code=True, variant=variant)
    assert not model.training and next(model.parameters()).device.type == "cpu"
    assert {{p.dtype for p in model.parameters()}} == {{torch.float32}}
    assert all(value.isfinite().all() for value in (*model.buffers(), *model.parameters()))
    said[str(variant)] = answers(model.argus)
model = model.to("cpu").eval()
first, second = pictures()
said["methods"] = [
    model.classify(first, top_k=2, method="softmax").to_dict(),
    model.segment(first).shares(),
    float(model.depth(first).metres.mean()),
    len(model.detect(first, score_thresh=0.0)),
    model.correspond(first, second, [[3, 4]]).to_dict(),
    model.perceive([first, second])[1]["classification"][0]["class_name"],
]
for refused in (dict(variant="int4"), dict(dtype=torch.float16)):
    try:
        AutoModel.from_pretrained({folder!r}, trust_remote_code=True, **refused)
    except ValueError as error:
        said[str(refused)] = str(error)
model.save_pretrained({again!r}, variant="bf16_backbone")
print("said: " + json.dumps(said))
"""


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"))


WHOLE = {variant: file for variant, file in FILES.items() if variant != HEADS_ONLY}


@pytest.fixture(scope="module")
def folder(argus, tmp_path_factory):
    to = tmp_path_factory.mktemp("hf") / "argus-tiny"
    argus.export_hf(to)
    argus.export_hf(to, variant="bf16_backbone")
    return to


def test_the_folder_holds_a_shim_a_card_and_a_bundle(argus, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "modeling_argus.py", "README.md", *WHOLE.values()}
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"]["AutoModel"] == "modeling_argus.ArgusModel" and config["model_type"] == "argus"
    card = (folder / "README.md").read_text()
    assert "library_name: transformers\nlicense: apache-2.0\n" in card and "| boxes | detect | detect.fcos |" in card
    assert 'AutoModel.from_pretrained("argus-tiny", trust_remote_code=True)' in card
    assert answers(Argus.load(folder)) == answers(argus)


def test_terms_the_hub_does_not_list_are_named_in_the_card(argus, tmp_path, monkeypatch):
    monkeypatch.setattr(argus.backbone, "license", "fair-noncommercial-research-license")
    argus.export_hf(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "license: other\nlicense_name: fair-noncommercial-research-license\nlicense_link: https://" in card


def test_the_remote_code_is_thin_and_names_what_a_bundle_has():
    text = (files("argus_core.saving") / "modeling_argus.txt").read_text()
    assert len(text.splitlines()) < 100
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("FILES", "HUB")
    }
    assert values["FILES"] == WHOLE


def test_heads_alone_are_no_model_of_the_hub(argus, tmp_path):
    with pytest.raises(ArgusError, match="hold the backbone too"):
        argus.export_hf(tmp_path / "heads", variant="heads")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra hf")
def test_transformers_loads_it_offline(argus, folder, python, tmp_path):
    code = CODE.format(tests=str(Path(__file__).parents[1]), folder=str(folder), again=str(tmp_path / "again"))
    done = python("-c", code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "home"), ARGUS_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.rpartition("said: ")[2])
    assert printed["None"] == answers(argus)
    assert printed["bf16_backbone"] == answers(Argus.load(folder, "bf16_backbone"))
    assert "None, bf16_backbone" in printed["{'variant': 'int4'}"]
    assert any("float32 weights" in text for key, text in printed.items() if "float16" in key)
    assert printed["methods"][3] > 0
    assert answers(Argus.load(tmp_path / "again", "bf16_backbone")) == printed["bf16_backbone"]
