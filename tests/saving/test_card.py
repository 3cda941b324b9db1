"""Model cards: scores and terms of the records, in metadata that the hub's own library reads, and nothing else."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.backbones.origin import base_model
from argus_core.canvas import Canvas
from argus_core.saving.card import YOURS, kept_text
from bundle_help import make_head

ROW = {
    "protocol": "miou-1",
    "primary": "mIoU",
    "metrics": {"aAcc": 0.88672, "mIoU": 0.55937, "IoU/Sky": 0.9, "dice": None},
    "data": {"spec": "images:/data/sets/camvid", "val": {"split": "val", "images": 101, "sha256": "1"}},
}
DATA = {"spec": "images:/data/sets/camvid", "train": {"split": "train", "images": 184}, "val": {}, "license": "mit"}


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


def card_of(backbone, **records):
    """The card that a push of heads with these records would publish."""
    heads = {name: make_head(backbone.info, name) for name in records}
    for name, record in records.items():
        heads[name].record = record
    return Argus(backbone, heads, Canvas(64)).push("someone/rooms", dry_run=True, accept_license=True).card


def test_scores_are_those_of_the_record_with_data_set_split_images_and_protocol(backbone):
    limits = ["indoor | <b>only</b>", "no\nrain"]
    text = card_of(backbone, masks={"scores": [ROW, ROW | {"data": None}], "data": DATA, "limits": limits})
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "argus", "image-segmentation")
    assert [(result.metric_name, result.metric_value) for result in data.eval_results] == [
        ("mIoU of masks", 0.55937),
        ("aAcc of masks", 0.88672),
    ]
    first = data.eval_results[0]
    assert (first.dataset_name, first.dataset_split) == ("images:camvid", "val")
    assert (first.dataset_args, first.metric_args) == ({"images": 101}, {"protocol": "miou-1"})
    assert "* measured: mIoU 0.559, aAcc 0.887 on images:camvid val, 101 images (miou-1)" in text
    assert "* trained on: images:camvid train, 184 images" in text and "of the training data: MIT License" in text
    assert "* limits: indoor \\| \\<b>only\\</b>\n* limits: no rain\n" in text
    assert "/data/sets" not in text


def test_what_nobody_measured_is_said_and_tasks_share_no_pipeline(backbone):
    text = card_of(backbone, masks={}, metres={"scores": {"AbsRel": 0.2}})
    data = ModelCard(text).data
    assert data.pipeline_tag is None and data.eval_results is None and data.get("model-index") is None
    assert "of the training data: not stated" in text
    assert "* measured: not measured" in text and "* measured: AbsRel 0.2" in text
    assert "| masks | segment | segment.linear | 2 | " in text and "1 backbone pass" in text


def test_terms_that_the_hub_does_not_list_have_name_link_and_text(backbone, monkeypatch):
    monkeypatch.setattr(backbone, "license", "fair-noncommercial-research-license")
    text = card_of(backbone, masks={})
    data = ModelCard(text).data
    assert (data.license, data.license_name) == ("other", "fair-noncommercial-research-license")
    assert data.license_link == "https://github.com/facebookresearch/EUPE/blob/main/LICENSE.md"
    assert "Binding for the whole: FAIR Noncommercial Research License. Research only" in text
    assert f"The text of these terms: {data.license_link}" in text


def test_the_model_that_weights_come_from_is_named_where_it_is_known():
    assert base_model("eupe_vitb16", "x", {}) == "timm/vit_base_patch16_dinov3_qkvb.eupe_lvd1689m"
    assert base_model("timm:resnet18", "apache-2.0", {}) == "timm/resnet18.a1_in1k"
    assert base_model("timm:resnet18", "unknown", {}) is None and base_model("tiny", "apache-2.0", {}) is None
    assert base_model("timm:resnet18", "apache-2.0", {"license": "apache-2.0"}) is None


def test_texts_of_people_are_kept():
    assert kept_text(f"---\nlicense: mit\n---\n# Ours\n{YOURS}\n\nMine.\n").strip() == "Mine."
    assert kept_text("---\nlicense: mit\n---\n\nBy hand.\n\n---\nMore.\n").strip() == "By hand.\n\n---\nMore."
    assert kept_text("---\nlicense: mit\n---\n") == "\n"
