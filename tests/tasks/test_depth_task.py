"""The depth task: targets, passes, faults, the check, and the planted surfaces."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.nn import BinLogits
from argus_core.saving.build import task_from_dict, task_to_dict
from argus_core.tasks.depth import Depth, DepthMaps, known_depth
from argus_core.tokens import FeatureInfo, cell_mask

TASK = Depth.small()
CANVAS = (64, 96)
GOOD = DepthMaps(torch.full((4, 6), 2.0), torch.full((4, 6), 0.5), 16)


def plane(height, width):
    """A truth that differs in every pixel, 1 m to 9 m."""
    return np.linspace(1, 9, height * width, dtype=np.float32).reshape(height, width)


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_targets_hold_depths_of_the_image_and_nothing_between(fit, mirrored):
    truth = plane(41, 97)
    truth[::3] = 0
    place = Canvas(64, 96, fit=fit).place(41, 97)
    place = place.mirror() if mirrored else place
    depth = TASK.target(truth, place).depth.numpy()
    assert depth.shape == (64, 96) and depth.dtype == np.float32
    assert set(np.unique(depth)) <= {0.0, *np.unique(truth)}
    rows, cols = place.extent
    assert not depth[rows:].any() and not depth[:, cols:].any() and depth[:rows, :cols].any()


def test_a_target_of_the_images_own_size_is_the_truth():
    truth = plane(64, 96)
    place = Canvas(64, 96).place(64, 96)
    assert np.array_equal(TASK.target(truth, place).depth.numpy(), truth)
    assert np.array_equal(TASK.target(truth, place.mirror()).depth.numpy(), truth[:, ::-1])


def test_what_is_no_distance_is_unknown():
    truth = np.array([[np.nan, np.inf, -np.inf], [-1, 0, 3]], dtype=np.float64)
    assert known_depth(truth).tolist() == [[0, 0, 0], [0, 0, 3]]
    assert known_depth(truth).dtype == np.float32 and truth[1, 0] == -1
    target = TASK.target(truth, Canvas(2, 3).place(2, 3))
    assert target.depth.tolist() == [[0, 0, 0], [0, 0, 3]]


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (plane(5, 4), "5x4 .* image 4x5"),
        (np.ones((4, 5, 1), np.float32), "float array of shape"),
        (np.ones((4, 5), np.uint16), "uint16"),
        ("depth.png", "str"),
        (1000 * plane(4, 5), "millimetres"),
    ],
)
def test_wrong_annotations_are_faults_and_refused(truth, said):
    with pytest.raises(ArgusError, match=said):
        TASK.target(truth, Canvas(16).place(4, 5))
    assert re.search(said, TASK.fault(truth, (4, 5)))


@pytest.mark.parametrize(
    ("truth", "said"),
    [(np.zeros((4, 5), np.float32), "no pixel"), (plane(4, 5) + 20, "between 0.001 and 10 m")],
)
def test_useless_annotations_are_faults_but_harmless(truth, said):
    assert said in TASK.fault(truth, (4, 5))
    TASK.target(truth, Canvas(16).place(4, 5))


def test_sound_annotations_are_no_fault():
    truth = plane(4, 5)
    assert TASK.fault(truth, (4, 5)) == ""
    truth[0] = np.nan
    truth[1, 1] = 65535  # a few strange pixels are no other unit
    assert TASK.fault(truth, (4, 5)) == ""


def test_summary_counts_known_pixels():
    half = plane(10, 10)
    half[:5] = 0
    found = TASK.summary(iter([half, np.full((10, 10), 2, np.float32), np.zeros((10, 10), np.float32)]))
    assert found["known_share"] == 0.5
    assert (found["depth_min_m"], found["depth_max_m"]) == (2, 9)
    assert found["depth_median_m"] == pytest.approx((np.median(half[5:]) + 2) / 2, abs=1e-3)
    assert TASK.summary([]) == {"known_share": 0.0} == TASK.summary([np.zeros((3, 3), np.float32)])


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-1, 10), (5, 5), (1, float("inf")), (float("nan"), 1)])
def test_ranges_must_be_ranges(low, high):
    with pytest.raises(ArgusError, match="range"):
        Depth(low=low, high=high)


def test_the_task_survives_a_checkpoint():
    assert task_from_dict(task_to_dict(Depth(low=0.5, high=80))) == Depth(low=0.5, high=80)


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [(64, 96), (41, 97), (200, 30)])
def test_an_oracle_comes_back_to_the_image(fit, size):
    """A slope, which bilinear resizing keeps but for half a pixel at the border."""
    truth = np.add.outer(np.linspace(1, 3, size[0]), np.linspace(0, 4, size[1])).astype(np.float32)
    place = Canvas(64, 96, fit=fit).place(*size)
    depth = torch.from_numpy(place.map_to_canvas(truth, 0.0)).float()
    found = TASK.to_image(DepthMaps(depth, torch.full_like(depth, 0.25), 1), place)
    assert found.depth.shape == size and (found.uncertainty == 0.25).all()
    np.testing.assert_allclose(found.depth.numpy(), truth, atol=0.15)


def test_passes_are_averaged_and_clamped():
    place = Canvas(64, 96).place(64, 96)
    first = DepthMaps(torch.arange(24.0).reshape(4, 6), torch.ones(4, 6), 16)
    second = DepthMaps(first.depth.flip(1) + 2, 3 * torch.ones(4, 6), 16)
    both = TASK.merge([first, second], [place, place.mirror()])
    once = TASK.to_image(DepthMaps(first.depth + 1, first.spread, 16), place)
    torch.testing.assert_close(both.depth, once.depth)
    assert both.uncertainty.unique().tolist() == [2]
    assert (both.depth.min(), both.depth.max()) == (1, 10)


def test_nothing_is_claimed_where_a_crop_cut():
    place = Canvas(32, fit="crop").place(32, 64)
    found = TASK.to_image(DepthMaps(torch.full((2, 2), 3.0), torch.ones(2, 2), 16), place)
    for values in (found.depth, found.uncertainty):
        assert not values[:, :16].any() and not values[:, 48:].any() and (values[:, 16:48] > 0).all()


def test_decoding_keeps_padding_out():
    logits = torch.randn(2, 8, 4, 6, generator=torch.Generator().manual_seed(0))
    extent = torch.tensor([[64, 40], [64, 96]])
    first, second = (
        TASK.decode(BinLogits(logits + junk * ~cell_mask(extent, 16, (4, 6)), 16, extent), CANVAS) for junk in (0, 50)
    )
    for one, other in zip(first, second, strict=True):
        TASK.check(one, CANVAS)
        assert torch.equal(one.depth, other.depth) and torch.equal(one.spread, other.spread)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"depth": torch.full((4, 6), float("nan"))}, "finite"),
        ({"spread": torch.full((4, 6), float("inf"))}, "finite"),
        ({"depth": torch.full((4, 6), 11.0)}, "leaves"),
        ({"depth": torch.zeros(4, 6)}, "leaves"),
        ({"spread": torch.full((4, 6), -0.1)}, "spread"),
        ({"spread": torch.full((4, 6), 6.0)}, "spread"),
        ({"spread": torch.zeros(4, 5)}, r"\(h, w\)"),
        ({"depth": torch.ones(1, 4, 6)}, r"\(h, w\)"),
        ({"stride": 8}, "cover"),
        ({"stride": 0}, "cover"),
    ],
)
def test_bad_predictions_do_not_pass(change, reason):
    TASK.check(GOOD, CANVAS)
    with pytest.raises(AssertionError, match=reason):
        TASK.check(replace(GOOD, **change), CANVAS)


def test_nothing_is_a_target_without_known_pixels():
    assert TASK.nothing(CANVAS).depth.shape == CANVAS and not TASK.nothing(CANVAS).to("cpu").depth.any()


@pytest.mark.parametrize("info", [FeatureInfo.vit(24), FeatureInfo((8, 16, 24, 24), (4, 8, 16, 32), prefix=0)])
@pytest.mark.parametrize("canvas", [(64, 96), (33, 50), (7, 5)])
def test_examples_are_painted_on_every_layer(info, canvas):
    tokens, targets = TASK.example(info, (1, -1), canvas, 8, torch.Generator().manual_seed(3))
    assert sorted(tokens.maps) == [1, info.depth - 1] and len(targets) == len(tokens) == 8
    assert len({tuple(e) for e in tokens.extent.tolist()}) == 3  # whole, narrower, lower
    for layer, maps in tokens.maps.items():
        grid = info.grid(canvas, layer)
        assert maps.shape == (8, info.channels[layer], *grid) and maps.isfinite().all()
        holds = cell_mask(tokens.extent, info.strides[layer], grid)
        assert ((maps != 0).any(1, keepdim=True) == holds).all()
    for target, (rows, cols) in zip(targets, tokens.extent.tolist(), strict=True):
        known = target.depth[target.depth > 0]
        assert target.depth.shape == canvas and TASK.low < known.min() and known.max() < TASK.high
        assert not target.depth[rows:].any() and not target.depth[:, cols:].any()
        assert 0.8 < len(known) / (rows * cols) < 1 or rows * cols < 50
