"""Sizes as octaves: they partition all sizes, and what the size branch says binds the box and gates the classes."""

import math

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred

from argus_core.detection import ATSS, grid_points
from argus_heads.experimental.scale_classify import Octaves, ScaleClassify

OCTAVES = Octaves(4)
SIZES = 2 ** torch.linspace(2.5, 9.5, 500, dtype=torch.float64)  # between the outer centres


def test_the_size_is_the_specified_one():
    head = ScaleClassify(VITB, COCO)
    assert size_of(head) == 1_800_866
    assert head.octaves == OCTAVES


def test_octaves_are_half_open_and_share_out_all_sizes():
    edges = 2.0 ** torch.arange(2, 11)
    below = torch.nextafter(edges, torch.zeros(()))
    assert OCTAVES.index(edges).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert OCTAVES.index(below).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert OCTAVES.index(torch.tensor([1e-3, 1e6])).tolist() == [0, 7]
    sizes = 4 * 256 ** torch.rand(1000)
    member = (sizes[:, None] >= edges[:-1]) & (sizes[:, None] < edges[1:])
    assert (member.sum(dim=1) == 1).all()
    assert torch.equal(member.long().argmax(dim=1), OCTAVES.index(sizes))


def test_the_goal_decodes_to_the_size_and_prefers_the_octave_it_lies_in():
    goal = OCTAVES.share(SIZES)
    torch.testing.assert_close(goal.sum(dim=1), torch.ones_like(SIZES))
    assert ((goal > 0).sum(dim=1) <= 2).all()
    torch.testing.assert_close(OCTAVES.size(goal, torch.zeros(())), SIZES, rtol=1e-6, atol=0)
    assert torch.equal(goal.argmax(dim=1), OCTAVES.index(SIZES))
    ends = OCTAVES.share(torch.tensor([0.5, 4.0, 1024.0, 1e5]))
    assert torch.equal(ends.argmax(dim=1), torch.tensor([0, 0, 7, 7])) and (ends.amax(dim=1) == 1).all()


def test_doubling_a_box_moves_its_goal_by_one_octave():
    sizes = SIZES[SIZES < 2**8.5]
    torch.testing.assert_close(OCTAVES.share(2 * sizes)[:, 1:], OCTAVES.share(sizes)[:, :-1])
    assert torch.equal(OCTAVES.index(2 * sizes), OCTAVES.index(sizes) + 1)


def boxes_of(head, raw, share):
    """Widths and heights (B, h, w) in pixels of what a level predicts."""
    ltrb = head._distances(raw, share, 1)
    return ltrb[:, 0] + ltrb[:, 2], ltrb[:, 1] + ltrb[:, 3]


@pytest.mark.parametrize("octave", range(8))
def test_a_sure_octave_binds_the_area_whatever_the_regression_says(octave):
    head = make(ScaleClassify, width=16)
    share = torch.zeros(2, 8, 5, 7)
    share[:, octave] = 1
    raw = (8 * torch.randn(2, 4, 5, 7)).clamp(-8, 8)
    width, height = boxes_of(head, raw, share)
    octaves = (width * height).sqrt().log2() - 2
    assert (octaves >= octave - 1e-3).all() and (octaves <= octave + 1 + 1e-3).all()
    assert octaves.max() - octaves.min() > 0.9  # and the residual uses the room it has
    torch.testing.assert_close((width / height).log(), raw[:, 2], atol=1e-3, rtol=1e-3)


def test_the_centre_moves_with_the_offset_alone():
    head = make(ScaleClassify, width=16)
    raw, share = torch.randn(1, 4, 3, 3), torch.rand(1, 8, 3, 3).softmax(dim=1)
    left, top, right, bottom = head._distances(raw, share, 2).unbind(1)
    torch.testing.assert_close((right - left) / 2, 32 * raw[:, 0])
    torch.testing.assert_close((bottom - top) / 2, 32 * raw[:, 1])


def test_size_logits_alone_change_the_size_and_open_or_close_the_level():
    head = stirred(make(ScaleClassify, width=16))
    features, _ = scenes(head)
    before = head(features)
    with torch.no_grad():
        head.scale.bias[7] += 50  # surely larger than 512 pixels
        after = head(features)
    for level, (old, new) in enumerate(zip(before.levels, after.levels, strict=True)):
        size_old, size_new = ((x.ltrb[:, :2] + x.ltrb[:, 2:]).prod(dim=1).sqrt() for x in (old, new))
        assert (size_new > size_old).all() and (size_new > 500).all()
        torch.testing.assert_close(
            old.ltrb[:, 2:] - old.ltrb[:, :2], new.ltrb[:, 2:] - new.ltrb[:, :2], rtol=1e-3, atol=1e-2
        )
        if level < 3:
            assert (new.cls < old.cls - 20).all()
        else:
            assert (new.cls >= old.cls).all()


def test_gates_follow_the_stride_and_every_octave_has_a_level():
    for stride in (16, 4, 32):
        head = make(ScaleClassify, stride=stride, width=16)
        spans = [range(8)[head.octaves_of(level)] for level in range(5)]
        assert spans == [range(5), range(4, 6), range(5, 7), range(6, 8), range(7, 8)]


def test_gates_admit_what_the_assigner_asks_for():
    generator = torch.Generator().manual_seed(0)
    head = make(ScaleClassify, width=16)
    points = grid_points([(40, 40), (20, 20), (10, 10), (5, 5), (3, 3)], head.strides)
    right, total = 0, 0
    for _ in range(20):
        sides = 2 ** (3 + 4.5 * torch.rand(4, 1, generator=generator)) * torch.rand(4, 2, generator=generator).add(0.5)
        start = torch.rand(4, 2, generator=generator) * (320 - sides).clamp(min=0)
        matched = ATSS()(points, torch.cat([start, start + sides], dim=1))
        octave = OCTAVES.index(sides.prod(dim=1).sqrt())
        for point in (matched >= 0).nonzero()[:, 0].tolist():
            right += int(octave[matched[point]]) in range(8)[head.octaves_of(int(points.level[point]))]
            total += 1
    assert right / total > 0.99


def test_the_size_term_is_least_at_the_true_size():
    head = make(ScaleClassify, width=16)
    features, targets = scenes(head)
    output = head(features)
    matched = head.assign(output.points(), targets, output)
    values = {}
    for octave in range(8):
        with torch.no_grad():
            head.scale.weight.zero_()
            head.scale.bias.copy_(-3.0 * (torch.arange(8) - octave).abs())
            values[octave] = float(head.extra_loss(head(features), targets, matched)["scale"])
    sizes = torch.cat([t.boxes[:, 2:] - t.boxes[:, :2] for t in targets]).prod(dim=1).sqrt()
    assert OCTAVES.index(sizes).min() <= min(values, key=values.get) <= OCTAVES.index(sizes).max()
    assert math.isfinite(sum(values.values()))


def test_planted_objects_are_found():
    assert ap50_after(make(ScaleClassify, width=32), steps=50, lr=6e-3) > 0.8
