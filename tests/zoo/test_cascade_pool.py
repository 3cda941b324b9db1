"""The pooled pyramid: what its poolings are, at their limits and in between."""

import pytest
import torch
import torch.nn.functional as F
from planted_help import COCO, VITB, ap50_after, make, size_of, stirred
from scipy.ndimage import maximum_filter

from argus_heads.experimental.cascade_pool import CascadePool, CascadePyramid, cascade


def coarse(pyramid, x):
    """The levels that are pooled from a map that takes the context's place."""
    pyramid.context = torch.nn.Identity()
    return pyramid(x)[2:]


def test_the_size_is_the_specified_one_and_the_cascade_costs_three_numbers_a_channel():
    head = CascadePool(VITB, COCO)
    assert size_of(head) == 1_799_898
    assert size_of(head.pyramid.pools) == size_of(head.pyramid) - size_of(head.pyramid.context) == 3 * 192
    assert not [m for m in head.pyramid.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert all(m.stride == (1, 1) for m in head.modules() if isinstance(m, torch.nn.Conv2d))


@pytest.mark.parametrize("grid", [(17, 29), (5, 7), (1, 1), (1, 30)])
def test_three_maxima_over_five_cells_are_those_over_nine_and_thirteen(grid):
    x = torch.randn(2, 3, *grid) - 5  # below zero: padding with zeros would show
    _, *maps = cascade(x)
    for found, size in zip(maps, (5, 9, 13), strict=True):
        wanted = maximum_filter(x.numpy(), size=(1, 1, size, size), mode="constant", cval=-float("inf"))
        assert torch.equal(found, torch.from_numpy(wanted))


@pytest.mark.parametrize(("alpha", "pool"), [(80.0, F.max_pool2d), (-80.0, F.avg_pool2d)])
def test_the_mix_reaches_from_pure_mean_to_pure_maximum(alpha, pool):
    pyramid, x = CascadePyramid(4), torch.randn(2, 4, 16, 24) - 1
    with torch.no_grad():
        for stage in pyramid.pools:
            stage.alpha.fill_(alpha)
    for level, size in zip(coarse(pyramid, x), (2, 4, 8), strict=True):
        torch.testing.assert_close(level, pool(x, size), atol=1e-6, rtol=0)
    if alpha < 0:
        torch.testing.assert_close(level.mean(dim=(2, 3)), x.mean(dim=(2, 3)), atol=1e-6, rtol=0)


def test_each_channel_has_its_own_mix():
    pyramid, x = CascadePyramid(2), torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        pyramid.pools[0].alpha.copy_(torch.tensor([80.0, -80.0]))
    first = coarse(pyramid, x)[0]
    torch.testing.assert_close(first[:, 0], F.max_pool2d(x, 2)[:, 0])
    torch.testing.assert_close(first[:, 1], F.avg_pool2d(x, 2)[:, 1])


@pytest.mark.parametrize("grid", [(8, 8), (5, 7), (1, 3)])
def test_the_cascade_is_monotone_and_keeps_constants(grid):
    pyramid = stirred(CascadePyramid(6))
    low = torch.randn(2, 6, *grid)
    high = low + torch.rand_like(low) * (torch.rand_like(low) < 0.3)
    for under, over in zip(coarse(pyramid, low), coarse(pyramid, high), strict=True):
        assert (over >= under - 1e-6).all() and (over > under + 1e-4).any()
    for level in coarse(pyramid, torch.full((1, 6, *grid), 0.7)):
        torch.testing.assert_close(level, torch.full_like(level, 0.7))


def test_the_context_reaches_six_cells_and_no_further():
    context = stirred(CascadePyramid(8)).context
    context.mix[1] = torch.nn.Identity()  # the norm sees all cells
    x = torch.randn(1, 8, 15, 15)
    moved = x.clone()
    moved[:, :, 7, 7] += 10
    changed = (context(moved) != context(x)).any(dim=1)[0].nonzero()
    assert (changed - 7).abs().max() == 6


def test_planted_objects_are_found():
    assert ap50_after(make(CascadePool, width=24), steps=60) > 0.8
