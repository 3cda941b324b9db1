"""Means over boxes are the integral of the bilinear map that ROI align samples, and padding has no part in them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from argus_core.nn.regions import cell_shares, region_means
from argus_core.tokens import cell_mask, repeat_border

STRIDE = 16
GRID = (7, 9)
EXTENT = torch.tensor([[112, 144], [100, 77], [112, 17], [3, 144]])


def maps(channels=5):
    raw = torch.randn(len(EXTENT), channels, *GRID, generator=torch.Generator().manual_seed(0))
    return (raw * cell_mask(EXTENT, STRIDE, GRID)).double()


def boxes_inside(count=30):
    """Boxes of all sizes within each image, the whole image and slivers at its far border among them."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(len(EXTENT), count, 2, 2, generator=generator).sort(dim=2).values.flatten(2)
    ends = EXTENT.flip(1).repeat(1, 2)[:, None]
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.99, 0.0, 1.0, 1.0], [0.0, 0.97, 0.5, 1.0]])
    return torch.cat([corners, whole.expand(len(EXTENT), 3, 4)], dim=1).double() * ends


def sampled(x, boxes, samples):
    """torchvision's ROI align with a fine grid of samples; padding repeats the border, as its own border does."""
    aligned = roi_align(
        repeat_border(x, STRIDE, EXTENT), list(boxes), 1, 1 / STRIDE, sampling_ratio=samples, aligned=True
    )
    return aligned.flatten(1).unflatten(0, boxes.shape[:2])


def test_means_are_what_ever_finer_samples_approach():
    x, boxes = maps(), boxes_inside()
    exact = region_means(x, boxes, STRIDE, EXTENT)
    coarse, fine = ((sampled(x, boxes, samples) - exact).abs().max() for samples in (8, 128))
    assert fine < 1e-3 and fine < coarse / 50


def test_a_box_is_the_mean_of_its_parts():
    x, whole = maps(), boxes_inside()
    middle = (whole[..., 0] + 0.3 * (whole[..., 2] - whole[..., 0]))[..., None]
    left, right = torch.cat([whole[..., :2], middle, whole[..., 3:]], -1), torch.cat([middle, whole[..., 1:]], -1)
    parts = 0.3 * region_means(x, left, STRIDE, EXTENT) + 0.7 * region_means(x, right, STRIDE, EXTENT)
    assert torch.allclose(parts, region_means(x, whole, STRIDE, EXTENT), atol=1e-9)


def test_padding_has_no_part_in_a_mean():
    x, boxes = maps(), boxes_inside()
    filled = torch.where(cell_mask(EXTENT, STRIDE, GRID), x, 1e6)
    assert torch.equal(region_means(x, boxes, STRIDE, EXTENT), region_means(filled, boxes, STRIDE, EXTENT))
    for side, cells, end in ((boxes[..., 0::2], GRID[1], EXTENT[:, 1]), (boxes[..., 1::2], GRID[0], EXTENT[:, 0])):
        shares = cell_shares(side, cells, STRIDE, end)
        assert torch.allclose(shares.sum(-1), torch.ones(()).double()) and (shares > -1e-9).all()


def test_the_whole_of_an_image_is_the_mean_of_its_cells():
    x = maps()[:1]
    whole = torch.tensor([[[0.0, 0.0, 144.0, 112.0]]])
    assert torch.allclose(region_means(x, whole, STRIDE, EXTENT[:1])[0, 0], x[0].mean((1, 2)))


@pytest.mark.parametrize("side", [0.0, 1e-9, 1e-3])
def test_a_box_without_area_gives_the_map_at_its_place(side):
    x, places = maps()[:1], torch.tensor([[0.0, 0.0], [50.3, 61.7], [143.0, 111.0], [8.0, 8.0]]).double()
    boxes = torch.cat([places, places + side], dim=1)[None]
    at = (places + side / 2) / torch.tensor([144, 112]) * 2 - 1
    expected = F.grid_sample(x, at[None, None], padding_mode="border", align_corners=False)[0, :, 0].T
    assert torch.allclose(region_means(x, boxes, STRIDE, EXTENT[:1])[0], expected, atol=1e-4)


def test_no_boxes_and_float32():
    x = maps().float()
    assert region_means(x, torch.zeros(len(EXTENT), 0, 4), STRIDE, EXTENT).shape == (len(EXTENT), 0, 5)
    found = region_means(x, boxes_inside().float(), STRIDE, EXTENT)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), region_means(maps(), boxes_inside(), STRIDE, EXTENT), atol=1e-5)
