"""Matching against the enlarged features written out in full, and on fields whose shift is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from argus_core.errors import ArgusError
from argus_core.nn import matching, soft_argmax
from argus_core.nn.matching import Enlarged, parabola
from match_help import smooth

GRIDS = [  # channels, grid, enlarged size
    (768, (8, 8), (64, 64)),
    (5, (7, 3), (50, 91)),
    (6, (2, 9), (33, 64)),
    (16, (9, 14), (9, 14)),
    (8, (13, 5), (6, 4)),
    (4, (1, 6), (1, 70)),
    (3, (1, 1), (5, 7)),
]


def features(channels, grid, dtype=torch.float32, seed=0):
    return torch.randn(channels, *grid, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def enlarge(maps, size):
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def pixels(size, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y, x = (torch.randint(n, (count,), generator=generator) for n in size)
    return y, x


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize(("channels", "grid", "size"), GRIDS)
def test_equal_to_the_enlarged_features(channels, grid, size, dtype, tolerance):
    source, target = features(channels, grid, dtype), features(channels, grid, dtype, seed=1)
    y, x = pixels(size, 20)
    queries = Enlarged(source, size, size).at(torch.stack([x, y], dim=1) + 0.5)
    torch.testing.assert_close(queries, enlarge(source, size)[:, y, x].T, atol=tolerance, rtol=0)
    found = Enlarged(target, size, size)
    wanted = torch.einsum("nc,chw->nhw", F.normalize(queries, dim=1), F.normalize(enlarge(target, size), dim=0))
    torch.testing.assert_close(found.similarity(queries), wanted, atol=tolerance, rtol=0)
    points, scores = found.nearest(queries)
    best, index = wanted.flatten(1).max(dim=1)
    torch.testing.assert_close(scores, best, atol=tolerance, rtol=0)
    column, row = points.long().unbind(dim=1)
    assert (wanted[torch.arange(20), row, column] >= best - tolerance).all()
    clear = (wanted.flatten(1) > best[:, None] - tolerance / 10).sum(dim=1) == 1  # the outermost pixels are alike
    assert torch.equal(points[clear], (torch.stack([index % size[1], index // size[1]], dim=1) + 0.5)[clear])
    assert clear.sum() > 5 or min(grid) < 3


def test_points_between_pixels_are_interpolated_as_a_finer_enlargement_would():
    maps = features(5, (6, 9))
    fine = enlarge(maps, (6 * 64, 9 * 64))
    y, x = pixels(fine.shape[1:], 50)
    points = (torch.stack([x, y], dim=1) + 0.5) / 4
    torch.testing.assert_close(Enlarged(maps, (96, 144), (96, 144)).at(points), fine[:, y, x].T)


def test_features_that_nearly_cancel_keep_their_direction():
    maps = torch.tensor([[[1.0, -1.0], [0.3, -0.2]]])  # one channel: every cosine is 1 or -1
    values = enlarge(maps.double(), (64, 63))
    cosines = Enlarged(maps, (64, 63), (64, 63)).similarity(torch.ones(1, 1))[0]
    clear = values[0].abs() > 1e-4
    torch.testing.assert_close(cosines[clear], values[0].sign().float()[clear], atol=1e-4, rtol=0)
    assert cosines.isfinite().all()


@pytest.mark.parametrize("seen", [(128, 80), (77, 128), (30, 45), (1, 1)])
def test_what_lies_beyond_the_image_is_neither_read_nor_found(seen):
    maps = features(12, (8, 8))
    y, x = pixels(seen, 10)
    points = torch.stack([x, y], dim=1) + 0.5
    inner = Enlarged(maps, (128, 128), seen)
    cells = [-(-n // 16) for n in seen]
    spoilt = maps.clone()
    spoilt[:, cells[0] :], spoilt[:, :, cells[1] :] = 1e6, 1e6
    other = Enlarged(spoilt, (128, 128), seen)
    queries = inner.at(points)
    assert torch.equal(other.at(points), queries)
    assert torch.equal(other.similarity(queries), inner.similarity(queries))
    lures = torch.cat([queries, spoilt[:, -1, -1][None]])
    found, _ = other.nearest(lures, "softargmax")
    assert (found <= torch.tensor(seen[::-1])).all() and inner.similarity(queries).shape == (10, *seen)


def test_memory_is_bounded_by_looking_at_few_queries_at_a_time(monkeypatch):
    maps, queries = features(9, (6, 8), torch.float64), features(9, (70,), torch.float64).T
    target = Enlarged(maps, (60, 80), (60, 80))
    whole = target.nearest(queries, "parabola")
    held = []
    similarity = Enlarged.similarity
    monkeypatch.setattr(matching, "LIMIT", 10_000)
    monkeypatch.setattr(Enlarged, "similarity", lambda self, q: held.append(len(q)) or similarity(self, q))
    for once, parts in zip(whole, target.nearest(queries, "parabola"), strict=True):
        torch.testing.assert_close(parts, once)
    assert sum(held) == 70 and max(held) == 2


def test_no_queries_give_no_matches():
    points, scores = Enlarged(features(4, (3, 3)), (30, 30), (30, 30)).nearest(torch.zeros(0, 4), "softargmax")
    assert points.shape == (0, 2) and scores.shape == (0,)


def test_a_seen_part_must_be_a_part():
    for seen in ((0, 4), (4, 9)):
        with pytest.raises(ArgusError, match="part"):
            Enlarged(features(2, (2, 2)), (8, 8), seen)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_point_of_an_image_is_found_in_the_image_itself(seed):
    field = Enlarged(features(32, (9, 12), seed=seed), (144, 192), (144, 192))
    points = torch.rand(60, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([192.0, 144.0])
    found, scores = field.nearest(field.at(points))
    inside = ((points > 9) & (points < torch.tensor([183.0, 135.0]))).all(dim=1)  # the outermost pixels are alike
    assert (found - points)[inside].norm(dim=1).max() < 1
    assert scores.min() > 0.99


@pytest.mark.parametrize("shift", [(2, -1), (0, 3), (-2, 0)])
def test_a_field_moved_by_whole_cells_is_found_moved(shift):
    source, target = (smooth((12, 14), moved) for moved in ((0, 0), shift))
    one, other = (Enlarged(maps, (192, 224), (192, 224)) for maps in (source, target))
    points = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([100.0, 80.0]) + 60
    found, _ = other.nearest(one.at(points))
    assert (found + 16 * torch.tensor(shift).flip(0) - points).norm(dim=1).max() < 1


def errors(refine, noise):
    """Mean distance in pixels, with cells of 16, over fields moved by parts of a cell."""
    distances = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        shift = (2 * torch.rand(2, generator=generator) - 1).tolist()
        source, target = smooth((12, 12), noise=noise, seed=seed), smooth((12, 12), tuple(shift), noise, seed)
        one, other = (Enlarged(maps, (192, 192), (192, 192)) for maps in (source, target))
        points = torch.rand(50, 2, generator=generator) * 120 + 36
        found, _ = other.nearest(one.at(points), refine)
        distances.append((found + 16 * torch.tensor(shift).flip(0) - points).norm(dim=1))
    return torch.cat(distances).mean()


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_refinement_comes_nearer(noise):
    for refine in ("parabola", "softargmax"):
        assert errors(refine, noise) < 0.9 * errors("none", noise)


def test_a_parabola_finds_the_top_of_a_parabola():
    tops = torch.tensor([[10.3, 6.6], [9.0, 8.4], [2.2, 15.3]], dtype=torch.float64)
    y, x = torch.arange(20), torch.arange(18)
    values = -((y[:, None] - tops[:, 0, None, None]) ** 2) - 0.5 * (x - tops[:, 1, None, None]) ** 2
    peaks = tops.round().long()
    found = parabola(values, peaks, (3, 2))
    torch.testing.assert_close(found[:2], tops[:2])
    torch.testing.assert_close(found[2], torch.tensor([2.0, 15.3], dtype=torch.float64))  # row -1 is outside
    flat = parabola(torch.zeros(1, 9, 9), torch.tensor([[4, 4]]), (2, 2))
    assert flat.tolist() == [[4, 4]]


def test_a_soft_argmax_is_the_weighted_mean_of_what_is_inside():
    values = 0.02 * torch.randn(3, 11, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    peaks = torch.tensor([[5, 4], [0, 8], [10, 1]])
    for value, (row, column), found in zip(values, peaks.tolist(), soft_argmax(values, peaks, (2, 3)), strict=True):
        rows, columns = (range(max(0, p - r), min(n, p + r + 1)) for p, r, n in ((row, 2, 11), (column, 3, 9)))
        weights = (value[rows.start : rows.stop, columns.start : columns.stop] / 0.02).exp()
        weights /= weights.sum()
        wanted = [weights.sum(1) @ torch.tensor(rows).double(), weights.sum(0) @ torch.tensor(columns).double()]
        torch.testing.assert_close(found, torch.stack(wanted))
