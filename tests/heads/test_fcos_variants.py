"""The slim and the hooked FCOS: sizes, and that every tap of the latter counts."""

import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features
from argus_heads.fcos_detect import FCOS
from argus_heads.fcos_variants_detect import HookFCOS, SlimFCOS

TASK = Detect.small()
INFO = FeatureInfo.vit(24)


def answers(head, features):
    return [t.detach() for level in head(features).levels for t in (level.cls, level.ltrb, level.quality)]


@pytest.fixture
def hook():
    torch.manual_seed(0)
    head = HookFCOS(INFO, TASK, width=16, depth=1)
    tokens, targets = TASK.example(INFO, head.needs.layers, (80, 112), 3, torch.Generator().manual_seed(1))
    return head, tokens.features(head.needs), targets


def without(features, tap):
    maps = tuple(torch.zeros_like(m) if i == tap else m for i, m in enumerate(features.maps))
    return Features(maps, (), features.extent, features.size)


@pytest.mark.parametrize(("cls", "count"), [(SlimFCOS, 1_920_858), (HookFCOS, 18_502_746)])
def test_sizes_are_the_specified_ones(cls, count):
    head = cls(FeatureInfo.vit(768), Detect(classes=tuple(f"class {i}" for i in range(80))))
    assert sum(p.numel() for p in head.parameters()) == count


def test_the_hook_starts_as_the_baseline(hook):
    head, features, _ = hook
    plain = FCOS(INFO, TASK, width=16, depth=1)
    plain.load_state_dict({k: v for k, v in head.state_dict().items() if not k.startswith("taps.")})
    last = Features(features.maps[-1:], (), features.extent, features.size)
    for ours, wanted in zip(answers(head, features), answers(plain, last), strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    for tap in range(3):
        for ours, wanted in zip(answers(head, without(features, tap)), answers(plain, last), strict=True):
            torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def test_after_one_step_every_tap_counts_and_learns(hook):
    head, features, targets = hook
    for maps in features.maps:
        maps.requires_grad_()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    sum(head.loss(head(features), targets).values()).backward()
    mixed = head.taps.mix.weight.grad.reshape(24, 4, 24).abs().sum(dim=(0, 2))
    assert (mixed > 0).all()  # the weights of all four taps move, though three are zero
    optimizer.step()
    after = answers(head, features)
    for tap in range(4):
        zeroed = answers(head, without(features, tap))
        assert max(float((a - b).abs().max()) for a, b in zip(after, zeroed, strict=True)) > 1e-3
    optimizer.zero_grad()
    sum(head.loss(head(features), targets).values()).backward()
    assert all(maps.grad.abs().sum() > 0 for maps in features.maps)
    assert all(norm.weight.grad.abs().sum() > 0 for norm in head.taps.norms)


def test_the_slim_one_is_fcos_with_other_numbers_and_a_short_backbone_is_refused():
    torch.manual_seed(0)
    slim = SlimFCOS(INFO, TASK, width=16, depth=1)
    torch.manual_seed(0)
    plain = FCOS(INFO, TASK, width=16, depth=1, pyramid="slim")
    tokens, _ = TASK.example(INFO, (-1,), (48, 80), 2, torch.Generator().manual_seed(1))
    for ours, wanted in zip(*(answers(head, tokens.features(head.needs)) for head in (slim, plain)), strict=True):
        assert torch.equal(ours, wanted)
    with pytest.raises(ArgusError, match="the backbone has 3"):
        HookFCOS(FeatureInfo.vit(24, depth=3), TASK, width=16, depth=1)
    assert HookFCOS(FeatureInfo.vit(24, depth=6), TASK, width=16, depth=1).needs.layers == (1, 2, 4, 5)


PYRAMID = FeatureInfo((8, 12, 16, 24), (4, 8, 16, 32), prefix=1)


def test_a_native_pyramid_keeps_the_strides_of_its_layers():
    torch.manual_seed(0)
    head = FCOS(PYRAMID, TASK, width=16, depth=1, pyramid="native")
    assert head.needs.layers == (1, 2, 3) and head.strides == (8, 16, 32, 64, 128)
    tokens, targets = TASK.example(PYRAMID, head.needs.layers, (96, 160), 2, torch.Generator().manual_seed(1))
    features = tokens.features(head.needs)
    found = answers(head, features)
    assert [tuple(t.shape[2:]) for t in found[::3]] == [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    for tap in range(3):  # what the coarser layers know reaches the finer levels, and no finer one a coarser level
        changed = [not torch.equal(a, b) for a, b in zip(answers(head, without(features, tap)), found, strict=True)]
        assert changed[3 * tap] and any(changed[: 3 * tap + 1]) and changed[0]
    assert sum(head.loss(head(features), targets).values()).isfinite()
    for options, told in (
        ({"layers": (0, 2)}, "double"),
        ({"stride": 8}, "leave out stride"),
        ({"layers": (3,)}, "two"),
    ):
        with pytest.raises(ArgusError, match=told):
            FCOS(PYRAMID, TASK, width=16, depth=1, pyramid="native", **options)
