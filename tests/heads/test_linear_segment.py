"""The linear segmenter: its size, its parts, its padding, and that it learns what is planted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.tasks.segment import Segment
from argus_core.testing import head_suite
from argus_core.tokens import FeatureInfo
from argus_heads.linear_segment import LinearSegmenter
from kit_marks import SLOW_GRAPHS

ADE20K = Segment(classes=tuple(f"class {i}" for i in range(150)))
VIT, SMALL = FeatureInfo.vit(24), Segment.small()

test_head = head_suite("segment.linear", marks=SLOW_GRAPHS)
test_official_options = head_suite(
    "segment.linear", options={"layers": [5, 8, -1], "dropout": 0.1, "denominator": "all"}, marks=SLOW_GRAPHS
)


def make(seed=0, info=VIT, task=SMALL, **options):
    torch.manual_seed(seed)
    return build_head("segment.linear", info, task, options)


def example(head, canvas=(64, 96), images=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layers = head.needs.resolve(head.info).layers
    tokens, targets = head.task.example(head.info, layers, canvas, images, generator)
    return tokens.features(head.needs), targets


def test_the_published_size():
    head = LinearSegmenter(FeatureInfo.vit(768), ADE20K)
    assert sum(p.numel() for p in head.parameters()) == 116_886
    assert set(head.state_dict()) == {
        *(f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        *("classify.weight", "classify.bias"),
    }


def test_the_published_start_and_recipe():
    head = make(info=FeatureInfo.vit(768), task=ADE20K)
    assert not head.classify.bias.any() and head.classify.weight.std().item() == pytest.approx(0.01, rel=0.05)
    recipe = head.recipe
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.batch) == ("adamw", 1e-3, 1e-3, 16)
    assert (recipe.steps, recipe.schedule, recipe.clip) == (40_000, "onecycle", 0)
    assert recipe.warmup * recipe.steps == 1500


def test_it_is_norm_and_convolution_of_the_map():
    head = make().train()
    features, _ = example(head, images=1)
    plain = nn.Sequential(nn.BatchNorm2d(24), nn.Conv2d(24, 3, 1))
    plain[1].load_state_dict(head.classify.state_dict())
    for mode in (True, False):
        output = head.train(mode)(features)
        torch.testing.assert_close(output.logits, plain.train(mode)(features.map), atol=1e-5, rtol=1e-5)
        assert output.stride == 16 and torch.equal(output.extent, features.extent)


def test_dropout_comes_before_the_norm():
    head = make(dropout=0.5).train()
    features, _ = example(head)
    seen = []
    head.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(features)
    channels = seen[0].abs().sum((2, 3)) == 0  # (B, C)
    assert 0 < channels.sum() < channels.numel()
    head.eval()(features)
    assert torch.equal(seen[1], features.map)
    for dropout in (-0.1, 1.0):
        with pytest.raises(ArgusError, match="dropout"):
            make(dropout=dropout)


def test_statistics_do_not_count_padding():
    """Images letterboxed on a larger canvas train the same norm as on one that fits them."""
    heads = [make().train() for _ in range(2)]
    features, _ = example(heads[0], (64, 64), images=1)
    wide, _ = example(heads[0], (64, 128), images=1)
    padded = torch.zeros_like(wide.map)
    padded[..., :4] = features.map
    from dataclasses import replace

    heads[0](features)
    output = heads[1](replace(wide, maps=(padded,), extent=features.extent))
    torch.testing.assert_close(heads[1].norm.running_var, heads[0].norm.running_var)
    torch.testing.assert_close(heads[1].norm.running_mean, heads[0].norm.running_mean)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("layers", [(-1,), (2, 5, -1)])
def test_planted_regions_are_found(layers):
    head = make(layers=layers).train()
    features, targets = example(head, (96, 128), images=4)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    metric = SMALL.metric()
    with torch.no_grad():
        found = head.eval().decode(head(features), (96, 128))
    for number, (one, target) in enumerate(zip(found, targets, strict=True)):
        place = Canvas(96, 128).place(96, 128)
        metric.update(str(number), SMALL.to_image(one, place), target.labels.numpy())
    assert metric.compute()["mIoU"] > 0.85


def test_the_denominator_is_an_option():
    features, targets = example(make(), (64, 96))
    losses = [
        sum(make(denominator=which).loss(make().eval()(features), targets).values()) for which in ("valid", "all")
    ]
    labelled = torch.stack([target.labels != 255 for target in targets]).float().mean()
    torch.testing.assert_close(losses[1], losses[0] * labelled)


def test_layers_of_a_pyramid_are_brought_to_one_stride():
    convnext = FeatureInfo((8, 16, 32, 64), (4, 8, 16, 32), prefix=0)
    head = make(info=convnext)
    assert head.needs.layers == (1, 2, 3) and head.taps.stride == 16
    assert head(example(head)[0]).logits.shape == (4, 3, 4, 6)
    head = make(info=convnext, layers=(1, -1), stride=8)
    assert head(example(head)[0]).logits.shape == (4, 3, 8, 12)
    with pytest.raises(ArgusError, match=r"strides \[16, 32\], which cannot be brought to 12 px"):
        make(info=convnext, layers=(-2, -1), stride=12)


def test_a_saved_head_keeps_its_statistics(tmp_path):
    head = make(layers=(3, -1)).train()
    features, _ = example(head)
    head(features)
    save_head(tmp_path / "head.safetensors", head, {})
    loaded, _ = load_head(tmp_path / "head.safetensors")
    assert torch.equal(loaded(features).logits, head.eval()(features).logits)
