"""A head goes to the backbone it was built for and trained on, and to others only when told to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.model.compatibility import check_fit
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo
from broken_heads import Good

TASK = Detect.small()
CANVAS = Canvas(96)
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def other():
    """The same network with other weights."""
    network = load_backbone("tiny").model
    with torch.no_grad():
        network.norm.weight.add_(1)
    return type(load_backbone("tiny"))(
        network, load_backbone("tiny").info, name="other", mean=(0.5,) * 3, std=(0.5,) * 3, license="MIT"
    )


def trained(backbone, tmp_path, info=None):
    """A head as a run saves and loads it."""
    torch.manual_seed(0)
    head = build_head("detect.fcos", info or backbone.info, TASK, {"width": 16, "depth": 1, "layers": [-1]})
    made = {"name": backbone.name, "weights": None, "options": {}, "sha256": backbone.weights_sha256}
    save_head(tmp_path / "h.safetensors", head, {"tokens": {"backbone": made, "canvas": CANVAS.to_dict()}})
    return load_head(tmp_path / "h.safetensors")[0]


def odd(channels=(96,) * 12, strides=(16,) * 12, prefix=5, layers=(-1,)):
    return Good(FeatureInfo(channels, strides, prefix), TASK, layers=layers)


def test_heads_that_were_just_built_and_those_of_this_backbone_are_taken(backbone, tmp_path):
    argus = Argus(backbone, {"new": Good(backbone.info, TASK), "old": trained(backbone, tmp_path)}, CANVAS)
    argus.add("late", trained(backbone, tmp_path))
    assert set(argus([IMAGE])) == {"new", "old", "late"}


def test_a_head_of_other_weights_is_refused_unless_told_otherwise(backbone, other, tmp_path):
    head = trained(other, tmp_path)
    held, here = other.weights_sha256[:12], backbone.weights_sha256[:12]
    message = f"'boxes' was trained on tokens of backbone weights {held} .*backbone 'tiny' has {here}; .*strict=False"
    with pytest.raises(ArgusError, match=message):
        Argus(backbone, {"boxes": head}, CANVAS)
    argus = Argus(backbone, canvas=CANVAS)
    with pytest.raises(ArgusError, match=message):
        argus.add("boxes", head)
    argus.add("boxes", head, strict=False)
    told = Argus(backbone, {"boxes": head}, CANVAS, strict=False)
    assert torch.equal(argus([IMAGE])["boxes"][0].scores, told([IMAGE])["boxes"][0].scores)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (odd(strides=(8,) * 12), r"built for tokens with strides 12 x 8, backbone 'tiny' gives 12 x 16"),
        (odd(prefix=1), r"built for tokens with prefix 1, backbone 'tiny' gives 5"),
        (
            odd(channels=(48,) * 11 + (96,)),
            r"built for tokens with channels 48, 48, .*, 96, backbone 'tiny' gives 12 x 96",
        ),
        (odd((96,) * 24, (16,) * 24), r"built for tokens with channels 24 x 96, backbone 'tiny' gives 12 x 96"),
    ],
)
def test_tokens_of_another_shape_are_refused_unless_told_otherwise(backbone, head, message):
    with pytest.raises(ArgusError, match=f"head 'odd' was {message}; .*strict=False"):
        Argus(backbone, {"odd": head}, CANVAS)
    argus = Argus(backbone, {"odd": head}, CANVAS, strict=False)
    assert argus.needs.layers == (11,) and len(argus([IMAGE])["odd"]) == 1  # -1 is the last of this backbone


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (odd((48,) * 12), "reads 48 channels of layers -1, backbone 'tiny' has 96 there"),
        (
            odd((96,) * 10 + (48, 48), layers=(3, -1)),
            "reads 96, 48 channels of layers 3, -1, backbone 'tiny' has 2 x 96",
        ),
        (odd((96,) * 24, (16,) * 24, layers=(20,)), "layer 20 does not exist: the backbone has 12"),
    ],
)
def test_channels_of_the_layers_that_are_read_must_match_always(backbone, head, message):
    for strict in (True, False):
        with pytest.raises(ArgusError, match=f"head 'odd'.* {message}"):
            check_fit("odd", head, backbone, strict)
        with pytest.raises(ArgusError, match=f"head 'odd'.* {message}"):
            Argus(backbone, {"odd": head}, CANVAS, strict=strict)


def test_a_backbone_computed_otherwise_is_the_same_backbone(tmp_path):
    backbone = load_backbone("tiny")
    head = trained(backbone, tmp_path)
    for change in (lambda b: b.compile(backend="eager"), lambda b: b.half(), lambda b: b.float(), lambda b: b.train()):
        change(backbone)
        Argus(backbone, {"boxes": head}, CANVAS)
    pytest.importorskip("torchao")
    argus = Argus(load_backbone("tiny"), {"boxes": head}, CANVAS).quantize_int8()
    argus.add("again", head)


@pytest.mark.parametrize("recorded", [True, False])
def test_heads_of_a_saved_argus_belong_to_its_backbone(backbone, other, tmp_path, recorded):
    head = trained(backbone, tmp_path)
    if not recorded:
        head.record, head.backbone_sha256 = {}, None
    Argus(backbone, {"boxes": head}, CANVAS).save(tmp_path / "a")
    for variant in (None, "bf16_backbone"):
        if variant:
            Argus(backbone, {"boxes": head}, CANVAS).save(tmp_path / "a", variant=variant)
        found = Argus.load(tmp_path / "a", variant=variant)
        assert (found.backbone.weights_sha256 == backbone.weights_sha256) == (variant is None)
        Argus(found.backbone, {"boxes": found.head("boxes")}, CANVAS)
        with pytest.raises(ArgusError, match="trained on tokens of backbone weights"):
            Argus(other, {"boxes": found.head("boxes")}, CANVAS)


def test_what_was_put_together_unstrictly_is_saved_and_loaded_as_it_is(backbone, other, tmp_path):
    strides = FeatureInfo(backbone.info.channels, (8,) * 12, backbone.info.prefix)
    heads = {"far": trained(other, tmp_path), "odd": trained(backbone, tmp_path, strides)}
    argus = Argus(backbone, heads, CANVAS, strict=False)
    argus.save(tmp_path / "a")
    found = Argus.load(tmp_path / "a")
    assert found.head("odd").info == strides and found.head("far").info == backbone.info
    for name in heads:
        assert torch.equal(argus([IMAGE])[name][0].scores, found([IMAGE])[name][0].scores)
    with pytest.raises(ArgusError, match="strides"):
        Argus(found.backbone, {"odd": found.head("odd")}, CANVAS)
