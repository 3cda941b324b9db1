"""Depth on the way to boxes: its cues, its losses, its teacher, and that boxes really depend on it."""

from dataclasses import replace

import pytest
import torch
from planted_help import COCO, SMALL, VITB, ap50_after, make, scenes, size_of, stirred, tensors

from argus_core.errors import ArgusError
from argus_core.nn import SILog, decode_bins
from argus_core.saving.build import build_head
from argus_core.saving.checkpoint import load_head, load_state, read_tensors, save_head
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import FeatureInfo
from argus_heads.experimental.depth_fusion import DepthFusion, alignment, depth_cues

INFO = FeatureInfo.vit(24)


def boxes(*rows, crowd=()):
    flags = torch.tensor([k in crowd for k in range(len(rows))], dtype=torch.bool)
    return BoxTarget(torch.tensor(rows).float().reshape(-1, 4), torch.zeros(len(rows), dtype=torch.long), flags)


@pytest.fixture
def saved(tmp_path):
    """``saved(name, task, info, **options)``: the path of a head with random weights, by default a depth head."""

    def save(name="depth.linear", task=None, info=INFO, **options):
        head = stirred(build_head(name, info, task or Depth(), options or {"bins": 16}))
        save_head(tmp_path / "teacher.safetensors", head, {})
        return tmp_path / "teacher.safetensors"

    return save


def test_the_size_is_the_specified_one():
    assert size_of(DepthFusion(VITB, COCO)) == 2_514_586


def test_cues_are_derivatives_of_log_depth():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    log, by_x, by_y, bend = depth_cues((0.3 * x - 0.2 * y).exp()[None])[0, :, 1:-1, 1:-1]
    torch.testing.assert_close(log, (0.3 * x - 0.2 * y)[1:-1, 1:-1])
    for found, wanted in ((by_x, 0.3), (by_y, 0.2), (bend, 0.0)):
        torch.testing.assert_close(found, torch.full_like(found, wanted), atol=1e-5, rtol=0)
    assert depth_cues((0.1 * x**2 + 0.2 * y**2).exp()[None])[0, 3, 2, 3] == pytest.approx(0.6, abs=1e-4)
    assert not depth_cues(torch.full((1, 6, 8), 3.0))[:, 1:].any()


def test_a_factor_moves_log_depth_only():
    depth = 1 + torch.rand(2, 5, 7)
    near, far = depth_cues(depth), depth_cues(4 * depth)
    torch.testing.assert_close(far[:, 1:], near[:, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(far[:, 0] - near[:, 0], torch.full((2, 5, 7), 4.0).log())


def test_alignment_compares_inside_with_edge():
    slope = torch.rand(1, 8, 10)
    target = boxes((24, 16, 100, 90))  # touches columns 1 to 6 and rows 1 to 5, holds 2 to 5 and 1 to 4
    touched = torch.zeros(8, 10, dtype=torch.bool)
    touched[1:6, 1:7] = True
    held = torch.zeros_like(touched)
    held[1:5, 2:6] = True
    inner, edge = slope[0][held].mean(), slope[0][touched & ~held].mean()
    torch.testing.assert_close(alignment(slope, 16, [target]), inner / (inner + edge + 1e-3))
    assert alignment(held[None].float(), 16, [target]) > 0.99
    assert alignment((~held)[None].float(), 16, [target]) == 0


@pytest.mark.parametrize("target", [boxes(), boxes((3, 3, 12, 12)), boxes((0, 0, 90, 90), crowd=(0,))])
def test_alignment_without_anything_to_compare_is_zero_and_stays_attached(target):
    slope = torch.rand(1, 8, 8, requires_grad=True)
    term = alignment(slope, 16, [target])
    term.backward()
    assert term == 0 and slope.grad is not None
    assert alignment(torch.zeros(1, 8, 8), 16, [boxes((0, 0, 90, 90))]) == 0


def test_the_depth_loss_is_zero_at_equality_and_ignores_a_factor_if_told_to():
    depth, truth = 1 + torch.rand(2, 2, 5, 7)
    free = SILog(focus=1)
    torch.testing.assert_close(free(3 * depth, truth), free(depth, truth))
    assert SILog()(depth, depth) < 1e-5 < SILog()(3 * depth, depth)


def test_boxes_depend_on_depth_and_teach_it():
    head = stirred(make(DepthFusion, width=16)).train()
    features, targets = scenes(head)
    head.loss(head(features), targets)["box"].backward()
    assert all(p.grad.any() for p in head.branch.parameters())
    plain = tensors(head(features))
    head.branch.register_forward_hook(lambda *inputs: inputs[-1].flip(2).roll(1, dims=3))
    for before, after in zip(plain[:6], tensors(head(features))[:6], strict=True):
        assert not torch.allclose(before, after, rtol=1e-3, atol=1e-3)


def test_padding_adds_no_slope():
    head = stirred(make(DepthFusion, width=16))
    features, _ = scenes(head)
    width = int(features.extent[1, 1])
    assert width < features.size[1]
    cells = width // 16
    depth = head(features).depth[1]
    torch.testing.assert_close(depth[:, cells:], depth[:, cells - 1 : cells].expand_as(depth[:, cells:]))


def test_a_teacher_adds_terms_and_leaves_the_others(saved):
    taught, alone = make(DepthFusion, width=16, depth=saved()), make(DepthFusion, width=16)
    assert size_of(taught) == size_of(alone) and "a depth head" in taught.notes()[0] != alone.notes()[0]
    alone.load_state_dict(taught.state_dict())
    features, targets = scenes(taught)
    terms, fewer = (head.loss(head(features), targets) for head in (taught, alone))
    assert set(terms) - set(fewer) == {"depth", "alignment"}
    assert all(torch.equal(terms[name], fewer[name]) for name in fewer)
    assert set(taught.eval().loss(taught(features), targets)) == set(fewer)
    (terms["depth"] + terms["alignment"]).backward()
    names = {name.split(".")[0] for name, p in taught.named_parameters() if p.grad is not None}
    assert names == {"stem", "branch"}


def test_pseudo_depth_is_the_teachers_up_to_a_factor_per_image(saved):
    path = saved()
    head = make(DepthFusion, width=16, depth=path)
    features, _ = scenes(head)
    pseudo = head(features).pseudo
    teacher, _ = load_head(path)
    depth = decode_bins(teacher(features).logits, 0.001, 10)
    inside = pseudo > 0
    assert inside[0].all() and not inside[1, :, 6:].any() and inside[1, :, :6].all()
    for one, mine, mask, scaled in zip(depth, head(features).depth, inside, pseudo, strict=True):
        factor = scaled[mask] / one[mask]
        torch.testing.assert_close(factor, factor[:1].expand_as(factor))
        assert (mine[mask] / scaled[mask]).median().item() == pytest.approx(1, rel=1e-4)


def test_a_teacher_may_read_further_layers(saved):
    head = make(DepthFusion, width=16, depth=saved(layers=(5, 8, -1)))
    assert head.needs.layers == (5, 8, 11)
    features, targets = scenes(head)
    terms = head.loss(head(features), targets)
    assert terms["depth"].isfinite()
    lower = replace(features, maps=(-features.maps[0], *features.maps[1:]))
    assert not torch.allclose(head(lower).pseudo, head(features).pseudo)
    assert all(torch.equal(a, b) for a, b in zip(tensors(head(lower)), tensors(head(features)), strict=True))


def test_of_a_pyramid_the_head_and_its_teacher_read_their_own_layers(saved):
    info = FeatureInfo((8, 12, 16, 20), (4, 8, 16, 32))
    head = DepthFusion(info, SMALL, width=16, depth=saved(info=info, layers=(0, 2))).train()
    assert head.needs.layers == (0, 1, 2, 3) and head.taps.channels == 48
    features, targets = scenes(head)
    lower = replace(features, maps=(-features.maps[0], *features.maps[1:]))
    assert head.loss(head(features), targets)["depth"].isfinite()
    assert all(torch.equal(a, b) for a, b in zip(tensors(head(lower)), tensors(head(features)), strict=True))
    assert not torch.allclose(head(lower).pseudo, head(features).pseudo)


def test_a_saved_head_needs_its_teacher_no_more(saved, tmp_path):
    path = saved()
    head = stirred(make(DepthFusion, width=16, depth=path))
    head.options = {"width": 16, "depth": str(path)}
    save_head(tmp_path / "head.safetensors", head, {})
    path.unlink()
    metadata, state = read_tensors(tmp_path / "head.safetensors")
    again = make(DepthFusion, **DepthFusion.restore_options(metadata["options"]))
    load_state(again, state, "the saved file")
    features, _ = scenes(head)
    assert all(torch.equal(a, b) for a, b in zip(tensors(head(features)), tensors(again.eval()(features)), strict=True))
    assert again.notes() == head.notes()


def test_the_teacher_follows_the_head_and_never_learns(saved):
    head = make(DepthFusion, width=16, depth=saved())
    (teacher,) = head._teacher
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert not any("teacher" in key for key in head.state_dict())
    head.to("meta")
    assert all(p.device.type == "meta" for p in teacher.parameters())


def test_other_heads_and_backbones_are_refused(saved):
    with pytest.raises(ArgusError, match=r"head for detect; .* depth\.linear"):
        make(DepthFusion, depth=saved("detect.fcos", SMALL, width=16, depth=1))
    with pytest.raises(ArgusError, match="one backbone"):
        make(DepthFusion, depth=saved(info=FeatureInfo.vit(32)))


def test_planted_objects_are_found_and_the_shape_of_the_teachers_depth_is_learnt(saved):
    head = make(DepthFusion, width=24, depth=saved())
    features, targets = scenes(head)
    before = head.loss(head(features), targets)["depth"].item()
    assert ap50_after(head, steps=50) > 0.8
    assert head.train().loss(head(features), targets)["depth"] < 0.6 * before
