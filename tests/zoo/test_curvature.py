"""Curvature by closed forms and a direct computation, rays by their definition, and the head made of both."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred, tensors, whole

from argus_heads.experimental.curvature import Curvature, _derivatives, curvatures, survival

GRID = torch.arange(-10, 11, dtype=torch.float64)
Y, X = torch.meshgrid(GRID, GRID, indexing="ij")
INNER = (0, slice(None), slice(2, -2), slice(2, -2))


def bent(*heights, step=1):
    """The six curvatures of a surface of one or several channels, away from the border: (6, 17, 17)."""
    return curvatures(torch.stack(heights)[None], step)[INNER]


def test_the_size_is_the_specified_one():
    assert size_of(Curvature(VITB, COCO)) == 1_863_698


@pytest.mark.parametrize("step", [1, 2])
def test_planes_are_flat(step):
    assert bent(torch.full_like(X, 3.0), step=step).abs().max() <= 1e-6
    assert bent(2 * X - 3 * Y, 0.5 * Y + 7, step=step).abs().max() <= 1e-5


@pytest.mark.parametrize("step", [1, 2])
def test_a_sphere_bends_alike_everywhere(step):
    gauss, mean, form, *along = bent((100.0**2 - X**2 - Y**2).sqrt(), step=step)
    torch.testing.assert_close(gauss * 1e4, torch.ones_like(gauss), atol=1e-3, rtol=0)
    torch.testing.assert_close(mean * 100, torch.ones_like(mean), atol=1e-3, rtol=0)
    torch.testing.assert_close(form * 100, torch.full_like(form, math.sqrt(2)), atol=1e-3, rtol=0)
    assert (along[0][8, 8] * 100 - 1).abs() < 1e-3 and along[2][8, 8] < 1e-5


def test_a_cylinder_and_a_saddle():
    gauss, mean, *_ = bent((50.0**2 - (X * 0.6 + Y * 0.8) ** 2).sqrt())
    assert gauss.abs().max() < 1e-6
    torch.testing.assert_close(mean * 2 * 50, torch.ones_like(mean), atol=1e-3, rtol=0)
    gauss, mean, *_ = (values[8, 8] for values in bent((X**2 - Y**2) / 40))
    assert gauss == pytest.approx(-1 / 400, rel=1e-6) and mean < 1e-5


def test_a_product_of_curves_is_flat_in_two_channels_but_not_in_one():
    wave, hill = (X / 3).sin(), Y.square() / 20
    assert bent(wave, hill)[0].abs().max() < 1e-12 < bent(wave, hill)[1].max()
    assert bent(wave + hill)[0].abs().max() > 1e-3


def test_rotating_the_channels_changes_nothing():
    u = torch.randn(2, 5, 8, 9, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    turned = torch.einsum("ij,bjhw->bihw", turn, u)
    torch.testing.assert_close(curvatures(turned), curvatures(u), atol=1e-12, rtol=1e-10)


def test_any_surface_bends_as_projecting_on_its_normals_says():
    u = torch.randn(1, 5, 6, 7, dtype=torch.float64)
    first, second = (d[0].numpy() for d in _derivatives(u, 1))
    found = curvatures(u)[0].numpy()
    for row, col in np.ndindex(6, 7):
        tangents = np.concatenate([np.eye(2), first[:, :, row, col].T])  # (2 + C, 2)
        basis, scale = np.linalg.qr(tangents)  # tangents = basis @ scale
        normal = np.eye(7) - basis @ basis.T
        xx, xy, yy = (normal @ np.concatenate([np.zeros(2), d]) for d in second[:, :, row, col])
        back = np.linalg.inv(scale)
        form = np.einsum("ia,ijn,jb->abn", back, np.array([[xx, xy], [xy, yy]]), back)  # in an orthonormal frame
        wanted = [
            form[0, 0] @ form[1, 1] - form[0, 1] @ form[0, 1],
            np.linalg.norm(form[0, 0] + form[1, 1]) / 2,
            np.linalg.norm(form),
        ]
        g = tangents.T @ tangents
        wanted += [np.linalg.norm(v) / math.sqrt(a * b) for v, a, b in _pairs(xx, yy, xy, g)]
        np.testing.assert_allclose(found[:, row, col], wanted, rtol=1e-9, atol=1e-9)


def _pairs(xx, yy, xy, g):
    return (xx, g[0, 0], g[0, 0]), (yy, g[1, 1], g[1, 1]), (xy, g[0, 0], g[1, 1])


def test_rays_are_what_walking_finds():
    cost = 3 * torch.rand(2, 4, 5, 7).square()
    found = survival(cost)
    for side, (down, right) in enumerate(((0, -1), (-1, 0), (0, 1), (1, 0))):
        for row, col in np.ndindex(5, 7):
            run, spent, y, x = torch.zeros(2), torch.zeros(2), row + down, col + right
            while 0 <= y < 5 and 0 <= x < 7:
                spent = spent + cost[:, side, y, x]
                run, y, x = run + (-spent).exp(), y + down, x + right
            torch.testing.assert_close(found[:, side, row, col], run)


def test_rays_inside_a_wall_count_the_free_cells():
    cost = torch.zeros(1, 4, 12, 14)
    cost[:, :, 1] = cost[:, :, 11] = cost[:, :, :, 2] = cost[:, :, :, 12] = 50
    torch.testing.assert_close(survival(cost)[0, :, 6, 6], torch.tensor([3.0, 4.0, 5.0, 4.0]), atol=1e-3, rtol=0)
    assert torch.equal(survival(torch.zeros(1, 4, 3, 5))[0, :, 1, 1], torch.tensor([1.0, 1.0, 3.0, 1.0]))


def test_flat_features_run_to_the_end_of_the_image_and_not_beyond():
    head = stirred(make(Curvature, width=16))
    features = replace(whole(torch.ones(2, 24, 6, 8)), extent=torch.tensor([[96, 128], [64, 80]]))
    runs = head.runs(head.bends(features), features.extent)
    for image, (rows, cols) in enumerate(((6, 8), (4, 5))):
        wanted = torch.tensor([2.0, 1.0, cols - 3, rows - 2])  # from row 1, column 2
        torch.testing.assert_close(runs[image, :, 1, 2], wanted)


def test_padding_bends_nothing():
    head = stirred(make(Curvature, width=16))
    inner = torch.randn(1, 24, 4, 5)
    padded = torch.nn.functional.pad(inner, (0, 3, 0, 2))
    features = replace(whole(padded), extent=torch.tensor([[64, 80]]))
    torch.testing.assert_close(head.bends(features)[:, :, :4, :5], head.bends(whole(inner)))
    runs = head.runs(head.bends(features), features.extent)[:, :, :4, :5]
    wanted = head.runs(head.bends(whole(inner)), torch.tensor([[64, 80]]))
    torch.testing.assert_close(runs, wanted, atol=1e-4, rtol=1e-4)


def test_bending_only_adds_cost():
    boundary = stirred(make(Curvature, width=16)).boundary
    c = torch.randn(1, 12, 5, 7)
    more = c * (1 + torch.rand_like(c))
    assert (boundary(more) >= boundary(c)).all() and (boundary(more) > boundary(c)).any()
    assert not boundary(torch.zeros_like(c)).any()


def test_boxes_depend_on_curvature_and_gradients_stay_finite_where_there_is_none():
    head = stirred(make(Curvature, width=16))
    features, targets = scenes(head)
    flat = replace(features, maps=(torch.ones_like(features.map),))
    sum(head.loss(head(flat), targets).values()).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    before = tensors(head(features))
    with torch.no_grad():
        head.boundary.free += 1
    after = tensors(head(features))
    assert torch.equal(before[0], after[0]) and not torch.allclose(before[1], after[1], rtol=0.05)


def test_planted_objects_are_found():
    assert ap50_after(make(Curvature, width=24, surface=8), steps=50) > 0.8
