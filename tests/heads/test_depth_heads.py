"""The depth heads: published sizes, odd canvases, padding, pyramids, and learning planted surfaces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.nn.dpt import level_strides
from argus_core.saving.build import build_head
from argus_core.tasks.depth import Depth
from argus_core.testing import head_suite
from argus_core.tokens import FeatureInfo, Features, quarter_layers
from argus_heads.dpt_depth import DPT
from argus_heads.linear_depth import LinearDepth
from kit_marks import SLOW_GRAPHS

TASK = Depth.small()
CONVNEXT = FeatureInfo((8, 16, 24, 32), (4, 8, 16, 32), prefix=0)
VARIANTS = [
    (LinearDepth, {}),
    (LinearDepth, {"layers": (2, 5), "bins": 16}),
    (DPT, {"width": 8, "bins": 16}),
    (DPT, {"width": 8, "bins": 16, "double": False}),
]
variants = pytest.mark.parametrize(("cls", "options"), VARIANTS, ids=lambda v: getattr(v, "__name__", ""))

test_linear = head_suite("depth.linear", marks=SLOW_GRAPHS)
test_dpt = head_suite("depth.dpt", options={"width": 16, "bins": 32}, marks=SLOW_GRAPHS)


def make(cls, options, info=None, seed=0):
    """A head in eval mode, every parameter moved off its start."""
    torch.manual_seed(seed)
    head = cls(info or FeatureInfo.vit(24), TASK, **options)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return head.eval()


def example(head, canvas, images=2, seed=0):
    tokens, targets = TASK.example(head.info, head.needs.layers, canvas, images, torch.Generator().manual_seed(seed))
    return tokens.features(head.needs), targets


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("depth.linear", {}, 198_400),
        ("depth.linear", {"layers": (8, -1)}, 396_544),
        ("depth.dpt", {}, 13_448_448),
        ("depth.dpt", {"double": False}, 13_448_448),
    ],
)
def test_sizes_are_the_published_ones(name, options, count):
    head = build_head(name, FeatureInfo.vit(768), TASK, options)
    assert sum(p.numel() for p in head.parameters()) == count


def test_recipes_are_the_published_ones():
    linear, dpt = LinearDepth.recipe, DPT.recipe
    assert (linear.lr, linear.weight_decay, linear.betas[1], linear.clip) == (3e-4, 1e-3, 0.99, 35)
    assert (linear.steps, linear.batch, round(linear.warmup * linear.steps)) == (38_400, 16, 12_800)
    assert linear.schedule == "onecycle-momentum" and linear.optimizer == "adamw"
    assert (dpt.lr, dpt.weight_decay, dpt.steps, dpt.batch) == (1e-4, 1e-3, 38_400, 16)
    assert (dpt.schedule, dpt.warmup) == ("cosine", 0.03)


@variants
@pytest.mark.parametrize("canvas", [(80, 48), (16, 16), (17, 15), (33, 100)])
@pytest.mark.parametrize("info", [FeatureInfo.vit(24), FeatureInfo.vit(24, 32), CONVNEXT])
def test_every_canvas_gives_sound_depth(cls, options, canvas, info):
    options = {**options, "layers": (2, 2)} if info is CONVNEXT and "layers" in options else options
    head = make(cls, options, info)
    for images in (1, 3):
        features, targets = example(head, canvas, images)
        output = head(features)
        stride = output.stride
        if cls is DPT:
            assert output.logits.shape[2:] == tuple(-(-n // stride) for n in canvas)
        assert all(term.isfinite() for term in head.loss(output, targets).values())
        found = head.decode(output, canvas)
        assert len(found) == images
        for one in found:
            TASK.check(one, canvas)


@variants
@pytest.mark.parametrize("extent", [(48, 80), (41, 33), (16, 96), (1, 1)])
def test_an_image_is_answered_alike_on_any_canvas(cls, options, extent):
    """Padding counts for nothing: neither what lies there nor how much of it there is."""
    head = make(cls, options)
    features, _ = example(head, (64, 96), 1)
    grid = tuple(-(-n // 16) for n in extent)
    cut = [m[..., : grid[0], : grid[1]] for m in features.maps]
    padded = [torch.nn.functional.pad(m, (0, 6 - grid[1], 0, 4 - grid[0])) for m in cut]
    answers = [
        TASK.decode(head(Features(tuple(maps), (), torch.tensor([extent]), size)), size)[0]
        for maps, size in ((cut, extent), (padded, (64, 96)))
    ]
    stride = answers[0].stride
    seen = [slice(-(-n // stride)) for n in extent]
    torch.testing.assert_close(answers[1].depth[seen[0], seen[1]], answers[0].depth[seen[0], seen[1]])
    torch.testing.assert_close(answers[1].spread[seen[0], seen[1]], answers[0].spread[seen[0], seen[1]])


@pytest.mark.parametrize(("cls", "options", "rate"), [(LinearDepth, {}, 2e-2), (DPT, {"width": 16}, 5e-3)])
def test_a_planted_surface_is_learned(cls, options, rate):
    torch.manual_seed(0)
    head = cls(FeatureInfo.vit(24), TASK, **options, bins=32)
    head.criterion.warmup = 20
    features, targets = example(head, (48, 64), 4)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate)
    for _ in range(60):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    head.eval()
    with torch.no_grad():
        loss = sum(head.loss(head(features), targets).values())
    assert loss < 0.3


@pytest.mark.parametrize("cls", [LinearDepth, DPT])
def test_the_range_is_the_tasks(cls):
    task = Depth(low=1, high=80)
    head = cls(FeatureInfo.vit(24), task, bins=32)
    features, _ = example(head, (64, 96))
    for one in task.decode(head(features), (64, 96)):
        task.check(one, (64, 96))
        assert one.depth.mean() > 20


def test_taps_are_spaced_over_any_depth():
    assert [quarter_layers(n) for n in (4, 5, 12, 24)] == [(0, 1, 2, 3), (1, 2, 3, 4), (2, 5, 8, 11), (5, 11, 17, 23)]
    assert make(DPT, {"width": 8}).needs.layers == (2, 5, 8, 11)
    with pytest.raises(ArgusError, match="has 3"):
        quarter_layers(3)


def test_strides_must_halve_or_double():
    assert level_strides([16] * 4) == (4, 8, 16, 32) == level_strides([4, 8, 16, 32])
    assert DPT(CONVNEXT, TASK, width=8).decoder.stride == 2
    with pytest.raises(ArgusError, match="quarter"):
        level_strides([14] * 4)
    with pytest.raises(ArgusError, match="not a pyramid"):
        level_strides([4, 8, 16, 16])
    with pytest.raises(ArgusError, match="four layers, not 3"):
        DPT(FeatureInfo.vit(24), TASK, width=8, layers=(1, 2, 3))
    with pytest.raises(ArgusError, match="double=false"):
        DPT(FeatureInfo.vit(24, 4), TASK, width=8)
    assert DPT(FeatureInfo.vit(24, 4), TASK, width=8, double=False).decoder.stride == 1


def test_each_tap_reaches_the_answer():
    head = make(DPT, {"width": 8})
    features, _ = example(head, (80, 48))
    whole = head(features).logits
    for tap in range(4):
        maps = tuple(torch.zeros_like(m) if i == tap else m for i, m in enumerate(features.maps))
        assert not torch.allclose(head(replace(features, maps=maps)).logits, whole)
