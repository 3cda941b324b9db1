"""Heat maps: what is drawn, what it costs, and that peaks are found again."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from torchvision.ops import box_iou

from argus_core.detection import cells_of, counted_cells, draw, finer_stride, heat_loss, locate, peaks
from argus_core.detection.heatmaps import gaussian_radius
from argus_core.errors import ArgusError
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import cell_mask

STRIDE, GRID = 4, (20, 30)
EXTENT = torch.tensor([[80, 120], [80, 90], [37, 120]])


def boxes_in(extent, count, seed):
    generator = torch.Generator().manual_seed(seed)
    ends = (torch.rand(count, 2, 2, generator=generator) * extent.flip(0)).sort(dim=1).values
    ends[:, 1] = torch.minimum(ends[:, 1] + 2, extent.flip(0))
    return ends.flatten(1)


@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.7])
def test_corners_off_by_the_radius_keep_the_overlap_in_every_direction(overlap):
    generator = torch.Generator().manual_seed(0)
    sides = torch.cat([torch.rand(150, 2, generator=generator), torch.tensor([[1.0, 1], [1, 300], [500, 2]])]).double()
    radius = gaussian_radius(sides, overlap)
    assert (radius > 0).all() and (radius < sides.amin(dim=1) / 2).all()
    box = torch.cat([torch.zeros_like(sides), sides], dim=1)
    shifts = torch.tensor(list(product((-1, 0, 1), repeat=4))).double()  # 81 ways to be off
    iou = torch.stack([box_iou(b[None], b + r * shifts)[0] for b, r in zip(box, radius, strict=True)])
    assert iou.min() >= overlap - 1e-9
    torch.testing.assert_close(iou.amin(dim=1), torch.full((153,), overlap).double())  # and no larger one would


def test_maps_are_one_at_the_cells_and_fall_off_as_gaussians():
    boxes, labels = boxes_in(EXTENT[0], 7, seed=1), torch.tensor([0, 0, 0, 2, 2, 1, 0])
    cells = cells_of((boxes[:, :2] + boxes[:, 2:]) / 2, STRIDE, EXTENT[0])
    heat = draw(cells, boxes, labels, (4, *GRID), STRIDE)
    wanted = np.zeros((4, *GRID))
    for (row, col), box, label in zip(cells.tolist(), boxes, labels.tolist(), strict=True):
        radius = int(gaussian_radius((box[2:] - box[:2]) / STRIDE))
        for i, j in product(range(GRID[0]), range(GRID[1])):
            if max(abs(i - row), abs(j - col)) <= radius:
                value = np.exp(-((i - row) ** 2 + (j - col) ** 2) / (2 * ((2 * radius + 1) / 6) ** 2))
                wanted[label, i, j] = max(wanted[label, i, j], value)
    np.testing.assert_allclose(heat.numpy(), wanted, atol=1e-6)
    ones = {(label, *cell) for label, cell in zip(labels.tolist(), map(tuple, cells.tolist()), strict=True)}
    assert {tuple(x) for x in (heat == 1).nonzero().tolist()} == ones
    assert not draw(cells[:0], boxes[:0], labels[:0], (4, *GRID), STRIDE).any()


def test_a_point_lies_in_the_cell_that_holds_it_and_on_the_end_in_the_last():
    extent = torch.tensor([37, 90])
    points = torch.tensor([[0.0, 0], [3.9, 4.0], [90, 37], [88, 36], [87.9, 35.9]])
    assert cells_of(points, 4, extent).tolist() == [[0, 0], [1, 0], [9, 22], [9, 22], [8, 21]]


def literal(logits, wanted, counted):
    """The loss as the papers write it, in double precision."""
    p, total = logits.double().sigmoid(), 0.0
    for where in product(*map(range, logits.shape)):
        y, q = wanted[where].double(), p[where]
        if y == 1:
            total -= (1 - q) ** 2 * q.log()
        elif counted[where[0], 0, where[2], where[3]]:
            total -= (1 - y) ** 4 * q**2 * (1 - q).log()
    return total


def test_the_loss_is_the_papers_and_stays_finite():
    logits, wanted = 3 * torch.randn(2, 2, 5, 7), torch.rand(2, 2, 5, 7)
    wanted[0, 1, 2, 3] = wanted[1, 0, 4, 6] = 1
    counted = torch.rand(2, 1, 5, 7) < 0.8
    found = heat_loss(logits.requires_grad_(), wanted, counted)
    torch.testing.assert_close(found.double(), literal(logits, wanted, counted), rtol=1e-5, atol=1e-5)
    found.backward()
    assert torch.equal(logits.grad != 0, counted.expand_as(wanted) | (wanted == 1))
    for size in (50.0, 1e4):
        extreme = (size * logits.detach().sign()).requires_grad_()
        heat_loss(extreme, wanted, counted).backward()
        assert extreme.grad.isfinite().all()
    right = torch.where(wanted == 1, 50.0, -50.0)
    assert heat_loss(right, wanted, counted) < 1e-6


def test_peaks_are_local_maxima_inside_the_image():
    logits = torch.randn(3, 4, *GRID, generator=torch.Generator().manual_seed(0)) + 3  # all high: padding must not win
    values, index = peaks(logits, cell_mask(EXTENT, STRIDE, GRID), 1000)
    for i, (height, width) in enumerate(EXTENT.tolist()):
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        scores = logits[i].sigmoid().numpy().copy()
        scores[:, rows:], scores[:, :, columns:] = 0, 0
        top = (maximum_filter(scores, size=(1, 3, 3), mode="constant") == scores) & (scores > 0)
        wanted = sorted(zip(scores[top].tolist(), np.flatnonzero(top).tolist(), strict=True), reverse=True)
        some = values[i] > 0
        assert index[i, some].tolist() == [where for _, where in wanted]
        np.testing.assert_allclose(values[i, some].numpy(), [score for score, _ in wanted])
        label, cell, place = locate(index[i, some], GRID)
        assert torch.equal(cell, place[:, 1] * GRID[1] + place[:, 0])
        assert (place[:, 0] < columns).all() and (place[:, 1] < rows).all()
        assert torch.equal(logits[i, label, place[:, 1], place[:, 0]].sigmoid(), values[i, some])
    few, _ = peaks(logits, cell_mask(EXTENT, STRIDE, GRID), 5)
    assert torch.equal(few, values[:, :5])


@pytest.mark.parametrize("extent", EXTENT)
def test_what_is_drawn_is_found_again(extent):
    boxes = boxes_in(extent, 6, seed=int(extent.sum()))
    labels = torch.arange(6) % 3
    cells = cells_of(boxes[:, 2:], STRIDE, extent)  # lower right corners, which may lie on the image's end
    heat = draw(cells, boxes, labels, (3, *GRID), STRIDE)
    values, index = peaks(heat.clamp(1e-6, 1 - 1e-6).logit()[None], cell_mask(extent[None], STRIDE, GRID), 100)
    label, _, place = locate(index[values > 0.99], GRID)
    wanted = {(k, *cell) for k, cell in zip(labels.tolist(), cells.tolist(), strict=True)}
    assert {(k, row, col) for k, (col, row) in zip(label.tolist(), place.tolist(), strict=True)} == wanted


def test_crowds_and_padding_do_not_count():
    boxes = torch.tensor([[8.0, 8, 24, 20], [40, 0, 60, 80]])
    targets = [BoxTarget(boxes, torch.zeros(2, dtype=torch.long), torch.tensor([True, False]))] * 3
    counted = counted_cells(targets, EXTENT, STRIDE, GRID)
    for one, (height, width) in zip(counted[:, 0], EXTENT.tolist(), strict=True):
        wanted = torch.zeros(GRID, dtype=torch.bool)
        wanted[: -(-height // STRIDE), : -(-width // STRIDE)] = True
        wanted[2:5, 2:6] = False
        assert torch.equal(one, wanted)


def test_a_stride_that_cannot_be_divided_is_refused():
    assert finer_stride(32, 4) == 8
    with pytest.raises(ArgusError, match="14 px does not divide by 4"):
        finer_stride(14, 4)
