"""The plan names every pass and head, and its counts are those of arithmetic and of published models."""

from __future__ import annotations

import pytest
import torch

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.backbones.timm_models import build, wrap
from argus_core.canvas import Canvas
from argus_core.common.license import EUPE
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify
from argus_core.tasks.correspond import Correspond
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment
from argus_core.tokens import FeatureInfo
from bundle_help import HEADS, SQUARE, WIDE, make_argus


@pytest.fixture(scope="module")
def argus(tmp_path_factory):
    return make_argus(load_backbone("tiny"), tmp_path_factory.mktemp("text"))


def test_passes_and_heads_are_those_that_run(argus):
    plan = argus.plan()
    assert [one.canvas for one in plan.passes] == [SQUARE, WIDE]
    assert {head.name for one in plan.passes for head in one.heads} == set(HEADS)
    for one, planned in zip(argus.passes(), plan.passes, strict=True):
        assert tuple(head.name for head in planned.heads) == one.heads
    assert plan.macs == sum(one.macs for one in plan.passes) == plan.to_dict()["macs"]


def test_counts_are_those_of_arithmetic(argus):
    square, wide = argus.plan().passes
    macs = {head.name: head.macs for one in (square, wide) for head in one.heads}
    assert macs["softmax"] == 96 * 3 and macs["protos"] == 96 * 3
    assert macs["masks"] == 192 * 2 * 4 * 6  # two layers stacked, two classes, 4 x 6 cells
    assert macs["metres"] == 96 * 16 * 6 * 6
    assert macs["match"] == 0
    tokens = 6 * 6 + 5
    blocks = 12 * (tokens * 12 * 96**2 + 2 * tokens**2 * 96)
    assert square.backbone.macs == blocks + 36 * 16 * 16 * 3 * 96
    parameters = {head.name: head.parameters for one in (square, wide) for head in one.heads}
    assert parameters == {name: sum(p.numel() for p in argus.head(name).parameters()) for name in HEADS}


def test_one_canvas_is_one_pass_and_layers_beyond_the_last_needed_cost_nothing(argus):
    other = Argus(argus.backbone, {"masks": argus.head("masks")}, Canvas(64))
    early = Argus(argus.backbone, {"boxes": build_head("detect.fcos", argus.backbone.info, Detect.small(), {
        "width": 16, "depth": 1, "layers": [3]})}, Canvas(64))  # fmt: skip
    (one,), (two,) = other.plan().passes, early.plan().passes
    assert two.backbone.macs < 0.4 * one.backbone.macs


def test_it_prints_as_a_table(argus):
    lines = str(argus.plan()).splitlines()
    assert len(lines) == 1 + 2 + len(HEADS) + 1
    assert lines[0].split() == ["pass", "canvas", "part", "kind", "parameters", "GMACs", "share"]
    shares = [float(line.split()[-1].rstrip("%")) for line in lines[1:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.5) and lines[-1].endswith("100.0%")
    assert any(line.split()[:3] == ["2", "64x96", "stretch"] for line in lines)


def names(count):
    return tuple(f"class {number}" for number in range(count))


PUBLISHED = {
    "segment": ("segment.linear", Segment(classes=names(150)), 116_886),
    "linear": ("depth.linear", Depth(), 198_400),
    "dpt": ("depth.dpt", Depth(), 13_448_448),
    "softmax": ("classify.linear", Classify(classes=names(1000)), 769_000),
    "knn": ("classify.prototypes", Classify(classes=names(1000)), 0),
    "boxes": ("detect.fcos", Detect(classes=names(80)), 16_138_074),
    "match": ("correspond.match", Correspond(), 0),
}


@pytest.mark.slow
def test_the_published_model_has_the_published_sizes():
    """EUPE-ViT-B with the heads of the published card, random weights: parameters, and 23.6 GMACs at 256 px."""
    torch.manual_seed(0)
    info = FeatureInfo.vit(768)
    backbone = wrap(build("vit_base_patch16_dinov3_qkvb"), "eupe_vitb16", license=EUPE.id)
    assert backbone.info == info
    heads = {name: build_head(kind, info, task) for name, (kind, task, _) in PUBLISHED.items()}
    argus = Argus(backbone, {"segment": heads["segment"], "match": heads["match"]}, Canvas(256))
    (one,) = argus.plan().passes
    for name in PUBLISHED.keys() - argus.heads.keys():
        argus.add(name, heads[name])
    counts = {name: sum(p.numel() for p in argus.head(name).parameters()) for name in argus.heads}
    assert counts == {name: count for name, (_, _, count) in PUBLISHED.items()}
    assert len(argus.passes()) == 1 and argus.licenses().binding is EUPE
    assert one.backbone.parameters == pytest.approx(85.6e6, rel=2e-3)
    assert one.backbone.macs == pytest.approx(23.6e9, rel=5e-3)
