"""Min-plus arithmetic by its laws and outside references, and the head that is built on it."""

import math

import numpy as np
import pytest
import torch
from planted_help import COCO, SMALL, VITB, ap50_after, make, scenes, size_of, stirred, whole
from scipy.ndimage import distance_transform_cdt, grey_erosion
from scipy.sparse.csgraph import floyd_warshall

from argus_core.errors import ArgusError
from argus_heads.experimental.tropical import Tropical, TropicalBlock, erode, min_plus, path, rays

T = 0.5
IDENTITY = torch.full((6, 6), math.inf).fill_diagonal_(0)


def product(a, b):
    """The min-plus product of two matrices: the columns of the second are images of one cell."""
    return min_plus(b.T[:, :, None, None], a, T)[:, :, 0, 0].T


def operations():
    """What must be homogeneous, monotone and 1-Lipschitz, with random weights."""
    weights, matrix = torch.randn(6, 3, 3), torch.randn(9, 6)
    return [
        lambda x: erode(x, weights),
        lambda x: -erode(-x, -weights),
        lambda x: min_plus(x, matrix, T),
        lambda x: path(x, -1, T),
        lambda x: path(x, -2, T),
    ]


def test_the_size_is_the_specified_one():
    assert size_of(Tropical(VITB, COCO)) == 496_986


def test_products_are_those_of_a_semiring():
    a, b, c = (torch.randn(6, 6) for _ in range(3))
    wanted = (a.numpy()[:, :, None] + b.numpy()[None]).min(axis=1)
    assert np.array_equal(product(a, b).numpy(), wanted)
    torch.testing.assert_close(product(product(a, b), c), product(a, product(b, c)))
    assert torch.equal(product(a, torch.minimum(b, c)), torch.minimum(product(a, b), product(a, c)))
    assert torch.equal(product(torch.minimum(a, b), c), torch.minimum(product(a, c), product(b, c)))
    assert torch.equal(product(IDENTITY, a), a) and torch.equal(product(a, IDENTITY), a)


def test_squaring_gives_all_shortest_paths():
    nodes = 19
    lengths = torch.where(torch.rand(nodes, nodes) < 0.2, torch.rand(nodes, nodes), math.inf).fill_diagonal_(0)
    found = lengths
    for _ in range(math.ceil(math.log2(nodes))):
        found = product(found, found)
    wanted = floyd_warshall(lengths.where(lengths.isfinite(), 0).numpy())
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    assert torch.equal(product(found, found), found)


@pytest.mark.parametrize("kind", range(5))
def test_operations_are_homogeneous_monotone_and_never_spread_differences(kind):
    apply = operations()[kind]
    x, y = torch.randn(2, 2, 6, 5, 7)
    torch.testing.assert_close(apply(x + 3), apply(x) + 3)
    assert (apply(torch.minimum(x, y)) <= apply(x)).all()
    assert (apply(x) - apply(y)).abs().max() <= (x - y).abs().max() + 1e-6


@pytest.mark.parametrize("grid", [(5, 7), (1, 1), (2, 9)])
def test_erosion_is_that_of_scipy(grid):
    x, weight = torch.randn(1, 1, *grid), torch.randn(1, 3, 3)
    wanted = grey_erosion(x[0, 0].numpy(), structure=-weight[0].numpy(), mode="constant", cval=math.inf)
    np.testing.assert_allclose(erode(x, weight)[0, 0].numpy(), wanted, rtol=1e-6)


def test_paths_are_what_trying_every_step_finds():
    cost = 6 * torch.rand(2, 4, 5, 7)
    found = rays(cost, T)
    steps = ((0, -1), (-1, 0), (0, 1), (1, 0))  # left, top, right, bottom as rows, columns
    for side, (down, right) in enumerate(steps):
        for row, col in np.ndindex(5, 7):
            cells = [(k, row + k * down, col + k * right) for k in range(7)]
            tried = [k + cost[:, side, y, x] for k, y, x in cells if 0 <= y < 5 and 0 <= x < 7]
            torch.testing.assert_close(found[:, side, row, col], torch.stack(tried).amin(dim=0))


def test_paths_both_ways_along_both_axes_are_the_taxicab_distance():
    free = torch.rand(12, 17) < 0.9
    assert not free.all()
    cost = torch.where(free, 1000.0, 0.0)
    for dim in (-1, -2):
        cost = torch.minimum(path(cost, dim, T), path(cost.flip(dim), dim, T).flip(dim))
    assert np.array_equal(cost.round().numpy(), distance_transform_cdt(free.numpy(), metric="taxicab"))


def test_gradients_are_those_of_a_soft_minimum_and_harden_as_it_cools():
    matrix, x = torch.rand(5, 6), torch.randn(2, 6, 3, 4)
    for temperature in (1.0, 0.02):
        leaves = matrix.clone().requires_grad_(), x.clone().requires_grad_()
        weight = torch.randn(2, 5, 3, 4)
        found = torch.autograd.grad((min_plus(leaves[1], leaves[0], temperature) * weight).sum(), leaves)
        terms = leaves[0][:, :, None, None] + leaves[1][:, None]
        soft = -temperature * torch.logsumexp(-terms / temperature, dim=2)
        wanted = torch.autograd.grad((soft * weight).sum(), leaves)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    hard = (leaves[0][:, :, None, None] + leaves[1][:, None]).amin(dim=2)
    for one, other in zip(found, torch.autograd.grad((hard * weight).sum(), leaves), strict=True):
        assert (one - other).abs().mean() < 0.05 * other.abs().mean()


def test_values_are_the_same_with_and_without_gradients():
    head = stirred(make(Tropical, width=16))
    features, _ = scenes(head)
    with_gradients = head.train()(features)
    with torch.no_grad():
        without = head.eval()(features)
    for one, other in zip(with_gradients.levels, without.levels, strict=True):
        torch.testing.assert_close(one.ltrb, other.ltrb, rtol=1e-5, atol=1e-4)


def test_channels_that_lose_still_learn():
    block = TropicalBlock(16, T)
    x = torch.randn(2, 16, 6, 6)
    block(x).square().sum().backward()
    assert block.channels.grad.ne(0).all()


def test_a_square_of_cheap_cells_is_the_box_of_every_cell_inside():
    head = make(Tropical, width=16)
    tower = head.tower
    tower.tower, tower.cost = torch.nn.Identity(), torch.nn.Identity()
    cost = torch.full((1, 4, 9, 11), 50.0)  # softplus keeps large numbers
    cost[:, :, 1] = cost[:, :, 7] = cost[:, :, :, 2] = cost[:, :, :, 9] = -50
    tower.classifier, tower.ctr = (torch.nn.Identity() for _ in range(2))
    ltrb = tower._level(cost, 16, tower.scales[1]).ltrb
    for row, col in ((2, 3), (4, 5), (6, 8)):
        wanted = torch.tensor([col - 2, row - 1, 9 - col, 7 - row]) * 16 + 8.0
        torch.testing.assert_close(ltrb[0, :, row, col], wanted, atol=1e-3, rtol=0)


def test_a_head_starts_with_boxes_of_the_size_that_assignment_expects():
    head = make(Tropical, width=16)
    output = head(whole(torch.randn(1, 24, 12, 12)))
    for level, stride in zip(output.levels, output.strides, strict=True):
        assert (level.ltrb / stride - 4.5).abs().max() < 0.5


def test_temperatures_at_which_gradients_would_vanish_are_refused():
    with pytest.raises(ArgusError, match="use at least"):
        Tropical(VITB, SMALL, temperature=0.05)


def test_planted_objects_are_found():
    assert ap50_after(make(Tropical, width=24), steps=50) > 0.8
