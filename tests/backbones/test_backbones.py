"""Backbones: frozen, and honest about sizes and padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from argus_core.backbones import fit_to_grid, load_backbone
from argus_core.backbones.timm_models import feature_info, timm_backbone
from argus_core.common.license import APACHE, EUPE, UNKNOWN, find_license, most_restrictive
from argus_core.errors import ArgusError
from argus_core.tokens import Needs
from backbone_help import canvases, timm_file

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ALL = Needs((2, 5, 8, 11), cls=True)


@pytest.fixture(scope="module")
def tiny():
    return load_backbone("tiny")


@pytest.fixture
def mobilenet(tmp_path):
    return load_backbone("timm:mobilenetv2_100", weights=timm_file(tmp_path / "m.safetensors", "mobilenetv2_100"))


def test_tiny_is_the_same_everywhere(tiny):
    assert tiny.weights_sha256 == "4f7771412a7c75e33835614bd2f5a2bc4b4bddec88be1e05f3147a4b8ce99921"
    assert (tiny.name, tiny.license, tiny.info.prefix, tiny.info.depth) == ("tiny", "apache-2.0", 5, 12)
    tokens = tiny.encode(canvases(2, 96, 128), torch.tensor([[96, 128], [96, 128]]), ALL)
    assert tokens.maps[5].shape == (2, 96, 6, 8) and tokens.prefix[5].shape == (2, 5, 96)
    assert tokens.maps[5].is_contiguous(memory_format=torch.channels_last)
    assert tokens.maps[5].dtype == torch.float32 and sorted(tokens.maps) == [2, 5, 8, 11]


def test_tiny_keeps_local_colour(tiny):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(24, 3, 8, 8, generator=generator)
    colour = coarse.permute(0, 2, 3, 1).reshape(-1, 3)
    images = nn.functional.interpolate(coarse, scale_factor=16) + 0.1 * torch.rand(24, 3, 128, 128, generator=generator)
    x = tiny(images, Needs()).features(Needs()).map.permute(0, 2, 3, 1).reshape(-1, 96)
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
    fit, held = slice(0, 1024), slice(1024, None)
    gram = x[fit].T @ x[fit] + 0.1 * torch.eye(97)
    error = colour[held] - x[held] @ torch.linalg.solve(gram, x[fit].T @ colour[fit].double())
    assert 1 - error.var() / colour[held].var() > 0.9


def test_convolutions_get_images_in_channels_last_order(mobilenet):
    convolutions = [layer for layer in mobilenet.model.modules() if isinstance(layer, nn.Conv2d)]
    inputs = []
    for layer in convolutions:
        layer.register_forward_pre_hook(lambda _, images: inputs.append(images[0]))
    mobilenet.encode(canvases(2, 64, 96), torch.tensor([[64, 96], [64, 80]]), Needs())
    assert len(convolutions) > 40 and len(inputs) >= 40
    for tensor in inputs:
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_tokens_are_raw_and_the_norm_comes_later(tiny):
    images = torch.rand(1, 3, 64, 96)
    tokens = tiny(images, ALL)
    final, raw = tiny.model.forward_intermediates(images, indices=[11], norm=False, return_prefix_tokens=True)
    torch.testing.assert_close(tokens.maps[11], raw[0][0])
    normed = tokens.features(Needs(cls=True))
    assert tiny.norm.eps == 1e-5
    torch.testing.assert_close(normed.cls[0], final[:, 0])
    torch.testing.assert_close(normed.map.flatten(2), final[:, 5:].transpose(1, 2))


def test_only_what_is_needed_is_given(tiny):
    images = torch.rand(1, 3, 32, 32)
    tokens = tiny(images, Needs((-1, 3, 11), maps=False, cls=True))
    assert not tokens.maps and sorted(tokens.prefix) == [3, 11]
    assert not tiny(images, Needs((0,))).prefix
    with pytest.raises(ArgusError, match="layer 12 does not exist"):
        tiny(images, Needs((12,)))


def test_padding_never_counts(tiny, mobilenet):
    bytes_a = canvases(2, 64, 96)
    extent = torch.tensor([[64, 96], [40, 50]])
    bytes_b = bytes_a.clone()
    bytes_b[1, 40:] = 255
    bytes_b[1, :, 50:] = 9
    for backbone in (tiny, mobilenet):
        layer = backbone.info.depth - 1
        a, b = (backbone.encode(x, extent, Needs((layer,), cls=True)) for x in (bytes_a, bytes_b))
        assert torch.equal(a.maps[layer], b.maps[layer]) and torch.equal(a.prefix[layer], b.prefix[layer])
        rows, cols = (-(-n // backbone.info.strides[layer]) for n in (40, 50))
        assert not a.maps[layer][1, :, rows:].any() and not a.maps[layer][1, :, :, cols:].any()
        assert a.maps[layer][1, :, :rows, :cols].abs().sum(0).min() > 0
    valid = a.maps[layer][1, :, :rows, :cols].mean((1, 2))
    torch.testing.assert_close(a.prefix[layer][1, 0], valid)


def test_pixels_are_normalised(tiny):
    image = canvases(1, 32, 32)
    expected = (image.permute(0, 3, 1, 2) / 255 - torch.tensor(tiny.mean).view(3, 1, 1)) / torch.tensor(tiny.std).view(
        3, 1, 1
    )
    whole = torch.tensor([[32, 32]])
    torch.testing.assert_close(tiny.encode(image, whole, ALL).maps[11], tiny(expected, ALL).maps[11])
    with pytest.raises(ArgusError, match="uint8"):
        tiny.encode(expected, whole, ALL)


@pytest.mark.parametrize("size", [(100, 130), (8, 16), (0, 32)])
def test_odd_sizes_are_refused(tiny, size):
    with pytest.raises(ArgusError, match=f"{size[0]} x {size[1]} px .* 16 px cells") as caught:
        tiny(torch.zeros(1, 3, *size), Needs())
    if size == (100, 130):
        assert "96 x 128 or 112 x 144" in str(caught.value)


def test_fit_to_grid():
    image = torch.rand(2, 3, 100, 130)
    assert torch.equal(fit_to_grid(image, 16, "crop"), image[..., :96, :128])
    padded = fit_to_grid(image, 16, "pad")
    assert padded.shape[-2:] == (112, 144) and torch.equal(padded[..., :100, :130], image)
    assert padded.sum() == pytest.approx(float(image.sum()), rel=1e-5)
    assert fit_to_grid(padded, 16, "pad").shape == padded.shape
    with pytest.raises(ArgusError, match="leaves nothing"):
        fit_to_grid(image, 256, "crop")


def test_frozen_means_frozen(mobilenet):
    parent = nn.Sequential(mobilenet, nn.Dropout()).train()
    images = torch.rand(2, 3, 64, 64)
    statistics = {k: v.clone() for k, v in mobilenet.state_dict().items()}
    first, second = (mobilenet(images, Needs()).maps[4] for _ in range(2))
    assert parent.training and not any(m.training for m in mobilenet.model.modules())
    assert torch.equal(first, second) and not first.requires_grad
    assert all(torch.equal(v, statistics[k]) for k, v in mobilenet.state_dict().items())
    assert not any(p.requires_grad for p in mobilenet.parameters())
    parent.requires_grad_(True)
    assert not mobilenet(images, Needs()).maps[4].requires_grad
    head = nn.Conv2d(first.shape[1], 1, 1)
    head(first).sum().backward()
    assert head.weight.grad is not None


def test_cpu_stays_float32_under_autocast(tiny):
    images = torch.rand(1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        low = tiny(images, ALL).maps[11]
    assert torch.equal(low, tiny(images, ALL).maps[11])
    with pytest.raises(ArgusError, match="precision"):
        load_backbone("tiny", precision="fp8")


def test_bf16_can_be_asked_for_on_any_device():
    exact, low = (load_backbone("tiny", precision=precision) for precision in ("fp32", "bf16"))
    assert (load_backbone("tiny").precision, exact.precision, low.precision) == ("fp32", "fp32", "bf16")
    images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    one, two = (backbone(images, Needs(cls=True)).features(Needs(cls=True)).map for backbone in (exact, low))
    assert not torch.equal(one, two)
    assert torch.nn.functional.cosine_similarity(one, two, dim=1).min() > 0.99


def test_rope_periods_survive_changes_of_dtype(tiny):
    backbone = load_backbone("tiny")
    own = backbone.model.rope._compute_periods()
    before = backbone.model.rope.periods.clone()
    assert not torch.equal(before, own)
    images = torch.rand(1, 3, 64, 64)
    wrapped = nn.ModuleDict({"backbone": backbone}).to(torch.bfloat16)
    low = backbone(images, ALL).maps[11]
    assert torch.equal(backbone.model.rope.periods, before) and low.dtype == torch.float32
    assert 0 < (low - tiny(images, ALL).maps[11]).abs().max() < 0.5
    wrapped.half().float()
    assert torch.equal(backbone.model.rope.periods, before)


@pytest.mark.slow
def test_compiled_gives_the_same():
    backbone = load_backbone("tiny")
    images = torch.rand(1, 3, 32, 48)
    plain = backbone(images, ALL)
    backbone.compile(backend="eager")
    torch.testing.assert_close(backbone(images, ALL).maps, plain.maps)


def test_wrong_names_are_answered():
    with pytest.raises(ArgusError, match="did you mean 'eupe_vitb16'"):
        load_backbone("eupe_vit_b16")
    with pytest.raises(ArgusError, match="unknown timm model 'resnet181'; did you mean"):
        load_backbone("timm:resnet181")
    with pytest.raises(ArgusError, match="timm:NAME"):
        load_backbone("timm")
    with pytest.raises(ArgusError, match=r"tiny.*colour"):
        load_backbone("tiny", colour=3)


def test_timm_without_cls_token_gets_the_mean(tmp_path):
    options = dict(embed_dim=48, depth=2, num_heads=3, class_token=False, reg_tokens=4, global_pool="avg")
    path = timm_file(tmp_path / "reg.safetensors", "vit_tiny_patch16_224", **options)
    backbone = timm_backbone("vit_tiny_patch16_224", path, **options)
    tokens = backbone(torch.rand(1, 3, 48, 80), Needs(cls=True))
    assert tokens.prefix[1].shape == (1, 5, 48) == (1, backbone.info.prefix, 48)
    torch.testing.assert_close(tokens.prefix[1][:, 0], tokens.maps[1].mean((2, 3)))


def test_convnext_norm_is_of_the_last_stage_only(tmp_path):
    name = "convnext_atto"
    backbone = timm_backbone(name, timm_file(tmp_path / "c.safetensors", name))
    needs = Needs((0, 3), cls=True)
    tokens = backbone(torch.rand(1, 3, 64, 96), needs)
    features = tokens.features(needs)
    assert torch.equal(features.maps[0], tokens.maps[0]) and tokens.prefix[3].shape == (1, 1, 320)
    torch.testing.assert_close(features.maps[1], backbone.model.head.norm(tokens.maps[3]))
    pooled = backbone.model.forward_head(tokens.maps[3], pre_logits=True)
    torch.testing.assert_close(features.cls[1], pooled)
    assert backbone(torch.rand(1, 3, 68, 100), Needs((0,))).maps[0].shape[-2:] == (17, 25)
    with pytest.raises(ArgusError, match="32 px cells"):
        backbone(torch.rand(1, 3, 68, 100), Needs((0, 3)))


def test_a_model_without_intermediates_is_refused():
    with pytest.raises(ArgusError, match="has no forward_intermediates"):
        feature_info(nn.Linear(2, 2), "timm:odd")


def shared_weights(folder):
    files = sorted((DATA / folder).glob("*.safetensors"))
    if not files:
        pytest.skip("the pretrained weights are not on this machine")
    return files[0]


def test_pretrained_vit_tiny_at_another_size():
    path = shared_weights("weights_vit_tiny")
    backbone = load_backbone("timm:vit_tiny_patch16_224", weights=path, license="apache-2.0")
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5) and backbone.info.prefix == 1
    extent = torch.tensor([[384, 288]])
    tokens = backbone.encode(canvases(1, 384, 288), extent, Needs((5, 11), cls=True))
    assert tokens.maps[11].shape == (1, 192, 24, 18) and tokens.maps[11].isfinite().all()
    assert tokens.maps[11].std((2, 3)).mean() > 0.1
    stored = load_file(path)["blocks.0.attn.qkv.weight"].float()
    assert torch.equal(backbone.model.blocks[0].attn.qkv.weight, stored)


def test_pretrained_mobilenet():
    path = shared_weights("weights_mobilenetv2")
    half = (0.5, 0.5, 0.5)
    backbone = load_backbone("timm:mobilenetv2_100", weights=path, mean=half, std=half, pad_type="same")
    assert backbone.info.strides == (2, 4, 8, 16, 32) and backbone.norm is None and backbone.mean == half
    tokens = backbone.encode(canvases(1, 96, 160), torch.tensor([[96, 160]]), Needs((0, 4), cls=True))
    assert tokens.maps[4].shape == (1, 320, 3, 5) and tokens.maps[0].shape == (1, 16, 48, 80)
    assert tokens.maps[4].isfinite().all() and tokens.maps[4].std((2, 3)).mean() > 0.05
    with pytest.raises(ArgusError, match="mean needs three values"):
        load_backbone("timm:mobilenetv2_100", weights=path, mean=(0.5,), pad_type="same")


def test_licenses():
    assert most_restrictive([APACHE, EUPE, find_license("mit")]) is EUPE
    assert most_restrictive([]) is APACHE and find_license(None) is UNKNOWN
    assert find_license("Apache-2.0") is APACHE
    assert not find_license("cc-by-sa-4.0").commercial and EUPE.outputs_covered
