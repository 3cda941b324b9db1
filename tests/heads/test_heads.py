"""The built-in detectors and the blocks they share."""

import math

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, save_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features
from argus_heads.fcos_detect import FCOS
from argus_heads.split_tower_detect import SplitTower

VITB = FeatureInfo.vit(768)
COCO = Detect(classes=tuple(f"class {i}" for i in range(80)))
SMALL = Detect.small()
TINY = {"width": 16, "convs": 1, "residuals": 1, "text_dim": 24}
HOOK = {"layers": (2, 5, 8, 11), "fuse": "project"}
VARIANTS = [
    (FCOS, {"width": 16, "depth": 1}),
    (FCOS, {"width": 16, "depth": 1, "pyramid": "slim", "layers": (5, 8, -1)}),
    (FCOS, {"width": 16, "depth": 1, **HOOK}),
    (SplitTower, TINY),
    (SplitTower, {**TINY, "classifier": "conv", "layers": (5, 8, -1)}),
    (SplitTower, {**TINY, "mode": "nearest", "extra_channels": 8}),
]
variants = pytest.mark.parametrize(("cls", "options"), VARIANTS, ids=lambda v: getattr(v, "__name__", ""))


def size_of(module):
    return sum(p.numel() for p in module.parameters())


def make(cls, options, channels=24, stride=16, seed=0):
    torch.manual_seed(seed)
    return cls(FeatureInfo.vit(channels, stride), SMALL, **options)


def example(head, canvas, images=2, seed=0):
    tokens, targets = SMALL.example(head.info, head.needs.layers, canvas, images, torch.Generator().manual_seed(seed))
    return tokens.features(head.needs), targets


def tensors(output):
    return [t for level in output.levels for t in (level.cls, level.ltrb, level.quality)]


@pytest.mark.parametrize(
    ("cls", "options", "count"),
    [
        (FCOS, {}, 16_138_074),
        (FCOS, {"width": 128, "depth": 2, "pyramid": "slim"}, 1_920_858),
        (FCOS, HOOK, 18_502_746),
        (SplitTower, {}, 2_975_067),
        (SplitTower, {"width": 192, "text_dim": 512}, 4_164_699),
        (SplitTower, {"width": 192, "classifier": "conv"}, 4_068_954),
    ],
)
def test_sizes_are_the_published_ones(cls, options, count):
    assert size_of(cls(VITB, COCO, **options)) == count


@variants
@pytest.mark.parametrize(("grid", "stride"), [((1, 1), 16), ((5, 7), 16), ((6, 3), 32), ((2, 9), 4)])
def test_every_grid_gives_five_levels_and_sound_detections(cls, options, grid, stride):
    head = make(cls, options, stride=stride)
    canvas = (grid[0] * stride - 1, grid[1] * stride)
    for images in (1, 2):
        features, targets = example(head, canvas, images)
        output = head(features)
        rows, cols = grid
        grids = [(2 * rows, 2 * cols)] + [(math.ceil(rows / n), math.ceil(cols / n)) for n in (1, 2, 4, 8)]
        assert [tuple(level.cls.shape) for level in output.levels] == [(images, 3, *g) for g in grids]
        assert [tuple(level.ltrb.shape) for level in output.levels] == [(images, 4, *g) for g in grids]
        assert [tuple(level.quality.shape) for level in output.levels] == [(images, 1, *g) for g in grids]
        assert output.strides == tuple(stride * n // 2 for n in (1, 2, 4, 8, 16))
        assert all((level.ltrb > 0).all() for level in output.levels)
        assert all(term.isfinite() for term in head.loss(output, targets).values())
        for found, extent in zip(head.decode(output, canvas), features.extent.tolist(), strict=True):
            SMALL.check(found, tuple(extent))


@variants
def test_images_do_not_influence_each_other_and_seeds_decide(cls, options):
    head, twin = make(cls, options).eval(), make(cls, options).eval()
    features, _ = example(head, (80, 112), 4)
    one = Features(tuple(m[1:2] for m in features.maps), (), features.extent[1:2], features.size)
    for whole, alone, again in zip(*map(tensors, (head(features), head(one), twin(features))), strict=True):
        torch.testing.assert_close(whole[1:2], alone, atol=1e-4, rtol=1e-4)
        assert torch.equal(whole, again)


@variants
def test_every_parameter_learns(cls, options):
    head = make(cls, options)
    features, targets = example(head, (128, 160), 4)
    optimizer, seen = torch.optim.SGD(head.parameters(), lr=0.01), set()
    for _ in range(3):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        assert all(p.grad.isfinite().all() for p in head.parameters())
        seen |= {name for name, p in head.named_parameters() if p.grad.abs().sum() > 0}
        optimizer.step()
    unused = {name for name, _ in head.named_parameters()} - seen
    assert not unused


@pytest.mark.parametrize(("cls", "options"), [VARIANTS[0], VARIANTS[3], VARIANTS[4]])
def test_planted_objects_are_found(cls, options):
    sizes = {"width": 32, "text_dim": 48} if cls is SplitTower else {"width": 32}
    head = make(cls, {**options, **sizes})
    features, targets = example(head, (96, 128), 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=4e-3)
    for _ in range(80):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = head.eval().decode(head(features), (96, 128))
    for one, target in zip(found, targets, strict=True):
        sure = one.scores > 0.5
        fits = box_iou(target.boxes, one.boxes[sure]) * (target.labels[:, None] == one.labels[sure])
        assert (fits.amax(dim=1) > 0.5).all()


def test_a_width_beyond_the_class_vectors_is_refused():
    with pytest.raises(ArgusError, match="width <= 24"):
        SplitTower(VITB, SMALL, width=32, text_dim=24)


@pytest.mark.parametrize("classifier", ["cosine", "conv"])
def test_calibration_touches_class_scores_only(classifier):
    head = make(SplitTower, {**TINY, "classifier": classifier}).eval()
    names = SplitTower.recipe.stages[0].only
    chosen = {n: p for n, p in head.named_parameters() if set(names) & set(n.split("."))}
    assert chosen
    features, _ = example(head, (80, 112))
    before = head(features)
    with torch.no_grad():
        for p in chosen.values():
            p += 0.1 * torch.randn_like(p)
    for old, new in zip(before.levels, head(features).levels, strict=True):
        assert torch.equal(old.ltrb, new.ltrb) and torch.equal(old.quality, new.quality)
        assert not torch.allclose(old.cls, new.cls)


def test_calibration_of_the_published_size():
    names = set(SplitTower.recipe.stages[0].only)
    parameters = SplitTower(VITB, COCO).named_parameters()
    assert sum(p.numel() for n, p in parameters if names & set(n.split("."))) == 122_961


def test_padding_gets_no_code_of_its_place():
    head = make(SplitTower, TINY)
    features, _ = example(head, (80, 112))
    seen = []
    for norm in head.pyramid.norms:
        norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 24:]))
    head(features)
    assert features.extent.tolist() == [[80, 112], [80, 84]]
    for code, columns in zip(seen, (6, 3, 2, 1), strict=True):  # those that begin within 84 pixels
        assert code.shape[1] == 64 and code[0].abs().sum(0).min() > 0
        assert code[1, :, :, :columns].abs().sum(0).min() > 0 and not code[1, :, :, columns:].any()


def test_projected_taps_start_as_the_last_and_then_all_matter():
    hook, plain = make(FCOS, VARIANTS[2][1]), make(FCOS, VARIANTS[0][1])
    plain.load_state_dict({k: v for k, v in hook.state_dict().items() if not k.startswith("taps.")})
    features, targets = example(hook, (80, 112))
    last = Features(features.maps[-1:], (), features.extent, features.size)
    for ours, wanted in zip(*map(tensors, (hook(features), plain(last))), strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    sum(hook.loss(hook(features), targets).values()).backward()
    torch.optim.SGD(hook.parameters(), lr=0.1).step()
    after = hook(features).levels[0].cls
    for tap in range(4):
        maps = tuple(torch.zeros_like(m) if i == tap else m for i, m in enumerate(features.maps))
        assert not torch.allclose(hook(Features(maps, (), features.extent, features.size)).levels[0].cls, after)


@pytest.mark.parametrize("cls", [FCOS, SplitTower])
def test_half_precision_stays_close(cls):
    head = make(cls, {"width": 96}, channels=192).eval()  # small groups would magnify rounding
    features, _ = example(head, (80, 112))
    plain = head(features)
    with torch.autocast("cpu", torch.bfloat16):
        half = head(features)
    for a, b in zip(tensors(plain), tensors(half), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(b, a, atol=0.3, rtol=0.02)


def test_layers_must_share_an_even_stride():
    convnext = FeatureInfo((8, 16, 32, 64), (4, 8, 16, 32), prefix=0)
    assert FCOS(convnext, SMALL, width=16).strides == (8, 16, 32, 64, 128)
    assert FCOS(convnext, SMALL, width=16, layers=(-1,)).strides == (16, 32, 64, 128, 256)
    with pytest.raises(ArgusError, match=r"strides \[16, 32\], which cannot be brought to 12 px"):
        FCOS(convnext, SMALL, layers=(-2, -1), stride=12)
    with pytest.raises(ArgusError, match="even"):
        SplitTower(FeatureInfo.vit(24, 7), SMALL, **TINY)


def test_class_vectors_come_from_a_file_by_name_and_travel_with_the_checkpoint(tmp_path):
    vectors = nn.functional.normalize(torch.randn(4, 24), dim=1)
    ClassText(("star", "box", "disc", "ring"), vectors, "m", ("{}",)).save(tmp_path / "text.safetensors")
    options = {**TINY, "text": tmp_path / "text.safetensors"}
    head = build_head("detect.split_tower", FeatureInfo.vit(24), SMALL, options)
    torch.testing.assert_close(head.towers.classifier.vectors, vectors[[2, 3, 0]])
    assert "sha256" in head.notes()[0]
    save_head(tmp_path / "head.safetensors", head, {})
    (tmp_path / "text.safetensors").unlink()
    loaded, _ = load_head(tmp_path / "head.safetensors")
    assert torch.equal(loaded.towers.classifier.vectors, head.towers.classifier.vectors)
    assert loaded.notes() == head.notes()
    with pytest.raises(ArgusError, match="arena text"):
        make(SplitTower, options)


def test_stand_in_vectors_are_announced_and_wrong_files_refused(tmp_path):
    assert make(SplitTower, TINY).notes() == ["class vectors are seeded stand-ins (no text file)"]
    assert make(SplitTower, {**TINY, "classifier": "conv"}).notes() == []
    path = tmp_path / "text.safetensors"
    ClassText(("disc", "ring"), stand_in(2, 24), "m", ()).save(path)
    with pytest.raises(ArgusError, match="'star'"):
        make(SplitTower, {**TINY, "text": path})
    ClassText(SMALL.classes, stand_in(3, 32), "m", ()).save(path)
    with pytest.raises(ArgusError, match="text_dim=32"):
        make(SplitTower, {**TINY, "text": path})
