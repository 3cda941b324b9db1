"""Framings and the merging of passes, against sliding windows written out in full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core.canvas import Canvas, Flipped, Whole, Windows
from argus_core.canvas.canvas import render
from argus_core.errors import ArgusError
from argus_core.nn import enlarge, merge_passes

SIZES = [(60, 80), (80, 60), (64, 64), (41, 200), (33, 47)]


@pytest.mark.parametrize("size", SIZES)
def test_windows_cover_every_pixel_and_stay_inside(size):
    framing = Windows(short=64, window=32, stride=20)
    places = framing.passes(*size)
    whole = tuple(round(n * s) for n, s in zip(size, places[0].scale, strict=True))
    assert min(whole) == 64
    count = np.zeros(whole, dtype=int)
    for place in places:
        top, left = (int(-o) for o in place.offset)
        assert place.extent == (32, 32) and top + 32 <= whole[0] and left + 32 <= whole[1]
        count[top : top + 32, left : left + 32] += 1
    assert count.min() >= 1


def test_a_window_shows_what_the_resized_image_shows():
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    framing = Windows(short=64, window=48, stride=30)
    whole, _ = Canvas(64, round(130 * 64 / 90), fit="stretch").render(image)
    for place in framing.passes(90, 130):
        top, left = (int(-o) for o in place.offset)
        shown = render(image, place, "bilinear").astype(int)
        assert np.abs(shown - whole[top : top + 48, left : left + 48].astype(int)).max() <= 1


def test_an_image_smaller_than_a_window_is_padded():
    (place,) = Windows(short=20, window=32, stride=32).passes(40, 40)
    assert place.extent == (20, 20) and place.canvas_size == (32, 32)


def test_whole_rounds_the_canvas_up_and_pads():
    (place,) = Whole(short=50).passes(100, 170)
    assert place.canvas_size == (64, 96) and place.extent == (50, 85)


def test_windows_that_leave_gaps_are_refused():
    with pytest.raises(ArgusError, match="do not cover"):
        Windows(short=64, window=32, stride=33)


@pytest.mark.parametrize("size", SIZES)
def test_merged_windows_equal_a_plain_loop(size):
    generator = torch.Generator().manual_seed(0)
    places = Windows(short=64, window=32, stride=20).passes(*size)
    maps = [torch.randn(3, 2, 2, generator=generator) for _ in places]
    whole = tuple(round(n * s) for n, s in zip(size, places[0].scale, strict=True))
    total, count = torch.zeros(3, *whole), torch.zeros(whole)
    for values, place in zip(maps, places, strict=True):
        top, left = (int(-o) for o in place.offset)
        window = F.interpolate(values[None], size=(32, 32), mode="bilinear", align_corners=False)[0]
        total[:, top : top + 32, left : left + 32] += window
        count[top : top + 32, left : left + 32] += 1
    expected = F.interpolate((total / count)[None], size=size, mode="bilinear", align_corners=False)[0]
    merged = merge_passes(maps, 16, places)
    torch.testing.assert_close(merged.to_image(), expected, atol=1e-4, rtol=1e-4)
    assert merged.seen_in_image().all()


@pytest.mark.parametrize("canvas", [Canvas(64, 96), Canvas(64, 48, fit="stretch"), Canvas(96, 64)])
def test_one_pass_equals_the_placement_s_own_resampling(canvas):
    place = canvas.place(50, 61)
    maps = torch.randn(2, canvas.height // 16, canvas.width // 16, generator=torch.Generator().manual_seed(1))
    on_canvas = enlarge(maps[None], 16, canvas.size)[0].numpy()
    merged = merge_passes([maps], 16, [place]).to_image().numpy()
    np.testing.assert_allclose(merged, place.map_to_image(on_canvas, 0), atol=1e-5)


@pytest.mark.parametrize("framing", [Canvas(64, 96), Windows(short=64, window=48, stride=30), Canvas(48, fit="crop")])
def test_a_mirrored_pass_is_laid_back_upright(framing):
    upright = framing.passes(50, 80)
    maps = [torch.randn(2, *place.canvas_size, generator=torch.Generator().manual_seed(2)) for place in upright]
    mirrored = [place.mirror() for place in upright]
    # What the network sees of the mirrored image is the mirrored plane: lay it out so, and it must come back.
    plane = merge_passes(maps, 1, upright)
    seen = [_look(plane.values.flip(2), place) for place in upright]
    back = merge_passes(seen, 1, mirrored)
    covered = back.seen & plane.seen
    torch.testing.assert_close(back.values[:, covered], plane.values[:, covered], atol=1e-5, rtol=1e-5)


def _look(plane, place):
    """The canvas of a pass that shows a plane (C, h, w)."""
    top, left = (int(-o) for o in place.offset)
    out = torch.zeros(len(plane), *place.canvas_size)
    out[:, : place.extent[0], : place.extent[1]] = plane[:, top : top + place.extent[0], left : left + place.extent[1]]
    return out


def test_pixels_that_a_crop_cut_are_unseen_and_nothing_unseen_bleeds_in():
    canvas = Canvas(32, fit="crop")
    place = canvas.place(40, 80)
    merged = merge_passes([torch.ones(1, 2, 2)], 16, [place])
    seen = merged.seen_in_image()
    assert not seen[:, :15].any() and seen[:, 25:55].all() and not seen[:, 65:].any()
    assert merged.to_image()[0][seen].eq(1).all()


def test_flipped_doubles_the_passes():
    flipped = Flipped(Windows(short=64, window=48, stride=30))
    places = flipped.passes(50, 80)
    assert len(places) == 2 * len(flipped.framing.passes(50, 80))
    assert [place.mirrored for place in places] == [False] * (len(places) // 2) + [True] * (len(places) // 2)


def test_passes_of_different_scales_are_refused():
    with pytest.raises(ArgusError, match="different scales"):
        merge_passes([torch.ones(1, 2, 2)] * 2, 16, [Canvas(32).place(40, 40), Canvas(64).place(40, 40)])


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (256, 256), (224, 500)])
def test_a_crop_after_resizing_the_short_side_shows_imagenet_s_centre(height, width):
    canvas = Canvas(224, fit="crop", interpolation="bicubic", short=256)
    place = canvas.place(height, width)
    assert place.extent == (224, 224)
    assert min(round(n * s) for n, s in zip((height, width), place.scale, strict=True)) == 256
    from torchvision.transforms import v2

    waves = np.sin(np.arange(height)[:, None, None] / 9) * np.cos(np.arange(width)[:, None] / 7)
    image = (127 + 120 * waves * np.array([1, 0.5, -1])).astype(np.uint8)

    steps = [v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(224)]
    reference = v2.Compose(steps)(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    shown, _ = canvas.render(image)
    difference = np.abs(shown.astype(int) - reference.astype(int))
    # torchvision rounds the long side and the crop's start otherwise: at most one pixel of shift.
    assert difference.mean() < (1 if (height, width) != (224, 500) else 8)


def test_a_short_side_that_cannot_be_cropped_is_refused():
    with pytest.raises(ArgusError, match="short=200"):
        Canvas(224, fit="crop", short=200)
    with pytest.raises(ArgusError, match="fit='crop'"):
        Canvas(224, short=256)
