"""Maps of several passes in image pixels, against the plain definition in float64."""

from __future__ import annotations

import pytest
import torch

from argus_core.canvas import Canvas, Flipped, Framing, Placement, Whole, Windows
from argus_core.nn import merge_passes, planes
from dense_help import plain_image

FRAMINGS = [
    *(Canvas(64), Canvas(64, 96, fit="stretch"), Canvas(64, fit="crop"), Whole(50, multiple=16)),
    *(Windows(100, 64, 40), Flipped(Canvas(64, fit="crop")), Flipped(Windows(100, 64, 40))),
]
SIZES = [(90, 133), (7, 150), (150, 7), (64, 64), (200, 130), (1, 1)]


def random_maps(places, stride: int, channels: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    grids = [[-(-n // stride) for n in place.canvas_size] for place in places]
    return [torch.randn(channels, *grid, generator=random) for grid in grids]


@pytest.mark.parametrize("framing", FRAMINGS, ids=repr)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 4, 14, 16])
def test_passes_are_enlarged_averaged_and_enlarged_again(framing: Framing, size: tuple[int, int], stride: int) -> None:
    places = framing.passes(*size)
    maps = random_maps(places, stride)
    found = merge_passes(maps, stride, places).to_image()
    torch.testing.assert_close(found.double(), plain_image(maps, stride, places), atol=2e-6, rtol=2e-6)


def test_passes_that_lie_anywhere_and_leave_holes() -> None:
    corners = [(0, 0), (5, 20), (30, 3), (21, 40), (40, 44)]
    places = [Placement((128, 150), (24, 24), (0.5, 0.5), (-float(y), -float(x))) for y, x in corners]
    places = [*places, places[1].mirror()]
    maps = random_maps(places, 8)
    plane = merge_passes(maps, 8, places)
    assert plane.count.min() == 0 and plane.count.max() >= 3
    torch.testing.assert_close(plane.to_image().double(), plain_image(maps, 8, places), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("framing", [Canvas(64), Canvas(64, fit="crop"), Flipped(Windows(100, 64, 40))], ids=repr)
@pytest.mark.parametrize("size", [(200, 333), (30, 300), (320, 240)])
def test_tiles_are_bounded_and_cover_the_image_once(framing, size, monkeypatch) -> None:
    places = framing.passes(*size)
    plane = merge_passes(random_maps(places, 16), 16, places)
    whole = plane.to_image()
    monkeypatch.setattr(planes, "TILE", 3 * 50 * 9)
    monkeypatch.setattr(planes, "COLUMNS", 50)
    times = torch.zeros(size)
    for rows, columns, tile in plane.tiles():
        times[rows, columns] += 1
        assert tile.numel() <= 3 * 50 * 9
        torch.testing.assert_close(tile.transpose(0, 1), whole[:, rows, columns], atol=2e-6, rtol=2e-6)
    assert times.eq(1).all()


def test_maps_of_half_precision_are_averaged_in_float32() -> None:
    places = Windows(100, 64, 40).passes(90, 133)
    maps = [one.bfloat16() for one in random_maps(places, 16)]
    found = merge_passes(maps, 16, places).to_image()
    torch.testing.assert_close(found.double(), plain_image(maps, 16, places), atol=2e-6, rtol=2e-6)


def test_autocast_does_not_round_what_is_merged() -> None:
    places = Canvas(64).passes(90, 133)
    maps = random_maps(places, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = merge_passes(maps, 16, places).to_image()
    torch.testing.assert_close(found.double(), plain_image(maps, 16, places), atol=2e-6, rtol=2e-6)


def test_gradients_pass_through_the_image() -> None:
    places = Windows(100, 64, 40).passes(30, 44)
    maps = [one.requires_grad_() for one in random_maps(places, 16)]
    found, plain = merge_passes(maps, 16, places).to_image(), plain_image(maps, 16, places)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        torch.autograd.grad((found * weight).sum(), maps),
        torch.autograd.grad((plain * weight).sum(), maps),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
