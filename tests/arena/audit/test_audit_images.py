"""Copies, outliers, coverage and the map, on synthetic cells and vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_arena.audit.alignment import Grids, agreement
from argus_arena.audit.copies import Copies, Pair, groups
from argus_arena.audit.coverage import find_coverage
from argus_arena.audit.layout import lay_out
from argus_arena.audit.outliers import beyond, find_outliers
from argus_arena.audit.vectors import Vectors, find_neighbours

SIZE = 12


def grids(maps: torch.Tensor) -> Grids:
    """Of maps (B, C, h, w) that their image fills."""
    count, _, height, width = maps.shape
    mask = torch.ones(count, 1, height, width, dtype=torch.bool)
    return Grids.of(maps, mask, torch.tensor([[height * 16.0, width * 16.0]]).expand(count, 2), 16)


def pictures(count: int, seed: int, size: int = SIZE) -> torch.Tensor:
    """Smooth random maps: neighbouring cells are alike, as in tokens of photographs."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 32, size // 2, size // 2, generator=random)
    return F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)


def test_a_picture_agrees_with_itself_mirrored_or_cropped_and_with_no_other():
    one = pictures(8, 0)
    noise = 0.3 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    same = agreement(grids(one), grids(one + noise))
    assert same.share.min() > 0.7 and not same.mirrored.any()
    turned = agreement(grids(one), grids(one.flip(3) + noise))
    assert turned.share.min() > 0.7 and turned.mirrored.all()
    cut = F.interpolate(one[:, :, 1:11, 1:11], size=(SIZE, SIZE), mode="bilinear", align_corners=True)
    assert agreement(grids(one), grids(cut)).share.min() > 0.4
    assert agreement(grids(one), grids(pictures(8, 2))).share.max() < 0.2


def test_agreement_does_not_depend_on_the_scale_of_cells_and_needs_content():
    one = pictures(4, 3)
    shares = [agreement(grids(one), grids(factor * one)).share for factor in (1.0, 7.0)]
    assert torch.allclose(*shares)
    blank = torch.ones(2, 32, SIZE, SIZE)
    assert agreement(grids(blank), grids(blank)).share.max() == 0


def test_copies_of_copies_are_one_group():
    pairs = [Pair(0, 3, "same bytes", 1.0), Pair(3, 4, "mirrored", 0.7)]
    own = groups(pairs, 6)
    assert own[0] == own[3] == own[4] and len({*own.tolist()}) == 4
    assert len({*groups([], 6).tolist()}) == 6 and Copies([], 0.4, 0, True).pairs == []


@pytest.mark.parametrize("count", [2, 5, 300])
def test_no_image_is_its_own_neighbour(count):
    unit = F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(count)), dim=1)
    unit[1] = unit[0]
    found = find_neighbours(unit, 10)
    assert found.numbers.shape == (count, min(10, count - 1))
    assert not (found.numbers == torch.arange(count)[:, None]).any()
    assert found.numbers[0, 0] == 1 and found.numbers[1, 0] == 0
    exact = (unit @ unit.T).fill_diagonal_(-2).topk(found.numbers.shape[1]).values
    assert torch.allclose(found.cosines, exact, atol=1e-5)


def vectors(count=200, odd=(), channels=64, seed=0) -> Vectors:
    """Vectors in a subspace of eight dimensions, but for ``odd`` ones, whose cells hardly vary."""
    random = torch.Generator().manual_seed(seed)
    raw = 5 + torch.randn(count, 8, generator=random) @ torch.randn(8, channels, generator=random)
    raw += 0.1 * torch.randn(count, channels, generator=random)
    spread = 1 + 0.1 * torch.rand(count, generator=random)
    for number in odd:
        raw[number] = 3 * torch.randn(channels, generator=random)
        spread[number] = 0.1
    return Vectors(raw, spread=spread)


def outliers(found: Vectors):
    return find_outliers(found, find_neighbours(found.unit, 10))


def test_images_outside_what_the_others_show_are_outliers_in_any_order():
    order = torch.randperm(200, generator=torch.Generator().manual_seed(5))
    given = vectors(odd=(17, 120))
    first, second, *others = outliers(given)
    assert {first.number, second.number} == {17, 120} and first.kind == second.kind == "nearly uniform"
    assert second.score > 3 * max([0, *(one.score for one in others)])
    assert {one.kind for one in others} <= {"unlike all others"}
    mixed = Vectors(given.raw[order], spread=given.spread[order])
    assert {int(order[one.number]) for one in outliers(mixed)[:2]} == {17, 120}
    assert max(one.score for one in outliers(vectors())) < second.score / 3 and outliers(vectors(count=5)) == []


def test_several_blank_images_do_not_hide_each_other():
    given = vectors(count=400)
    given.raw[10:18] = torch.randn(64, generator=torch.Generator().manual_seed(8))
    found = beyond(given.raw)
    assert {*found.topk(8).indices.tolist()} == {*range(10, 18)}


def test_the_residual_lies_between_none_and_all():
    found = beyond(vectors(odd=(3,)).raw)
    assert found.min() >= 0 and found.argmax() == 3
    flat = beyond(torch.ones(10, 4))
    assert flat.isfinite().all() and flat.max() < 1e-4


def test_images_of_val_that_train_does_not_show_are_named_with_their_region():
    random = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(4, 32, generator=random), dim=1)
    kind = torch.arange(300) % 3  # of train and most of val
    kind[280:290] = 3
    unit = F.normalize(centres[kind] + 0.08 * torch.randn(300, 32, generator=random), dim=1)
    parts = np.array([0] * 200 + [1] * 100)
    of_val, of_train = find_coverage(unit, parts)
    assert (of_val.of, of_val.by, of_train.of, of_train.by) == (1, 0, 0, 1)
    assert {*range(280, 290)} <= {*of_val.far} and len(of_val.far) < 16
    assert {*of_val.far[:10]} == {*range(280, 290)}
    assert of_val.regions[:10] == [0] * 10  # the largest
    assert len(of_train.far) < 12
    assert find_coverage(unit, np.zeros(300, dtype=np.int64)) == []
    assert find_coverage(unit[:9], np.array([0] * 6 + [1] * 3)) == []


def test_the_map_is_the_same_again_and_keeps_what_belongs_together():
    random = torch.Generator().manual_seed(0)
    kind = torch.arange(120) % 3
    unit = F.normalize(torch.eye(3, 16)[kind] + 0.1 * torch.randn(120, 16, generator=random), dim=1)
    places = lay_out(unit)
    assert (places == lay_out(unit)).all() and places.min() >= 0 and places.max() <= 1
    near = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(near, np.inf)
    assert (kind.numpy()[near.argmin(axis=1)] == kind.numpy()).all()
    for few in (1, 2, 3):
        assert np.isfinite(lay_out(unit[:few])).all()
