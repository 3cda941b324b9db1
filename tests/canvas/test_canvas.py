"""The canvas: placements are exact both ways, and pixels lie where the placement says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from argus_core.canvas import Canvas, Placement
from argus_core.errors import ArgusError

FITS = ("letterbox", "stretch", "crop")
examples = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def views(draw, image=2000, canvas=700):
    """A canvas, the size of an image and whether it is mirrored."""
    side, length = st.integers(1, canvas), st.integers(1, image)
    placed = Canvas(draw(side), draw(side), draw(st.sampled_from(FITS)))
    return placed, (draw(length), draw(length)), draw(st.booleans())


def place(view):
    canvas, image, mirrored = view
    return canvas.place(*image).mirror() if mirrored else canvas.place(*image)


def placements(**limits):
    return views(**limits).map(place)


def centres(size):
    """(h, w, 2) x, y of every pixel centre."""
    return np.stack(np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5), axis=-1)


def ramp(size):
    return centres(size) @ (2.0, 3.0)


def inside(points, size, margin):
    """Which (..., 2) points lie at least ``margin`` (y, x) within ``size``."""
    low = np.array(margin)[::-1] - 1e-9
    return ((points >= low) & (points <= np.array(size)[::-1] - low)).all(axis=-1)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@examples
@given(placements(), st.integers(0, 2**31))
def test_points_come_back(placement, seed):
    points = np.random.default_rng(seed).uniform(-50, 2050, (3, 7, 2))
    there = placement.points_to_canvas(points)
    np.testing.assert_allclose(placement.points_to_image(there), points, atol=1e-6, rtol=0)


@examples
@given(placements(), st.integers(0, 2**31))
def test_boxes_come_back_as_far_as_they_are_seen(placement, seed):
    height, width = placement.image_size
    corners = np.random.default_rng(seed).uniform(0, (width, height), (9, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    seen = np.sort(placement.points_to_image(np.array([(0, 0), placement.extent[::-1]], dtype=float)), axis=0)
    expected = np.clip(boxes.reshape(-1, 2, 2), *seen).reshape(-1, 4)
    there = placement.boxes_to_canvas(boxes)
    assert (there[:, 2:] >= there[:, :2]).all()
    assert inside(there.reshape(-1, 2, 2), placement.extent, (0, 0)).all()
    np.testing.assert_allclose(placement.boxes_to_image(there), expected, atol=1e-6)


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_no_boxes_stay_no_boxes(boxes):
    placement = Canvas(64).place(30, 40)
    assert placement.boxes_to_canvas(boxes).shape == placement.boxes_to_image(boxes).shape == (0, 4)


def test_boxes_are_clipped_to_what_exists():
    placement = Canvas(64).place(32, 64)
    everything = np.array([[-9.0, -9.0, 99.0, 99.0]])
    assert placement.boxes_to_canvas(everything).tolist() == [[0, 0, 64, 32]]
    assert placement.boxes_to_image(everything).tolist() == [[0, 0, 64, 32]]


@pytest.mark.parametrize(
    ("canvas", "image", "extent", "scale", "offset"),
    [
        (Canvas(640), (480, 640), (480, 640), (1, 1), (0, 0)),
        (Canvas(640), (333, 500), (426, 640), (426 / 333, 640 / 500), (0, 0)),
        (Canvas(640), (1280, 320), (640, 160), (0.5, 0.5), (0, 0)),
        (Canvas(64), (1, 10000), (1, 64), (1, 0.0064), (0, 0)),
        (Canvas(32, 64, fit="stretch"), (16, 16), (32, 64), (2, 4), (0, 0)),
        (Canvas(224, fit="crop"), (448, 900), (224, 224), (0.5, 0.5), (0, -113)),
        (Canvas(10, fit="crop"), (13, 10), (10, 10), (1, 1), (-1, 0)),
    ],
)
def test_known_placements(canvas, image, extent, scale, offset):
    placement = canvas.place(*image)
    assert (placement.extent, placement.offset) == (extent, offset)
    assert placement.scale == pytest.approx(scale, rel=1e-12)


@examples
@given(views())
def test_the_image_covers_whole_pixels_and_as_many_as_it_can(view):
    canvas, image, _ = view
    placed = {fit: replace(canvas, fit=fit).place(*image) for fit in FITS}
    for placement in placed.values():
        whole = np.multiply(image, placement.scale)
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-6)
        far = np.minimum(np.rint(whole + placement.offset), canvas.size)
        assert placement.extent == tuple(far) and (far >= 1).all()
    assert placed["stretch"].extent == placed["crop"].extent == canvas.size
    assert np.equal(placed["letterbox"].extent, canvas.size).any()


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
@pytest.mark.parametrize("canvas", [1, 224, 639, 768])
def test_the_aspect_is_kept_to_half_a_pixel(fit, canvas):
    for length in range(1, 2001):
        for image in ((length, 777), (777, length)):
            placement = Canvas(canvas, fit=fit).place(*image)
            factor = (min if fit == "letterbox" else max)(canvas / image[0], canvas / image[1])
            for n, s in zip(image, placement.scale, strict=True):
                assert abs(n * s - n * factor) <= 0.5 + 1e-9 or round(n * s) == 1


@examples
@given(placements(image=80, canvas=60), st.booleans())
def test_a_mirrored_view_is_the_view_of_the_mirrored_image(placement, nearest):
    plain, mirrored = replace(placement, mirrored=False), replace(placement, mirrored=True)
    height, width = placement.image_size
    points = centres((height, width))
    np.testing.assert_allclose(
        mirrored.points_to_canvas(points), plain.points_to_canvas((width, 0) + points * (-1, 1)), atol=1e-9
    )
    image, grid = noise(height, width), noise(2, *placement.canvas_size)
    there = mirrored.map_to_canvas(image, 7, nearest)
    np.testing.assert_array_equal(there, plain.map_to_canvas(image[:, ::-1], 7, nearest))
    back = mirrored.map_to_image(grid, 7, nearest)
    np.testing.assert_array_equal(back, plain.map_to_image(grid, 7, nearest)[..., ::-1])
    assert placement.mirror().mirror() == placement


@examples
@given(placements(image=80, canvas=60))
def test_ramps_survive_the_way_there_and_back(placement):
    there = placement.map_to_canvas(ramp(placement.image_size), fill=np.nan)
    positions = placement.points_to_image(centres(placement.canvas_size))
    interior = inside(positions, placement.image_size, (0.5, 0.5))
    np.testing.assert_allclose(there[interior], (positions @ (2.0, 3.0))[interior], atol=1e-8)
    there[~interior] = np.nan  # so that what is read back is exact, not a number, or beyond the last centre
    back = placement.map_to_image(there, fill=np.nan)
    between = inside(placement.points_to_canvas(centres(placement.image_size)), placement.extent, (0.5, 0.5))
    exact = np.isfinite(back) & between
    np.testing.assert_allclose(back[exact], ramp(placement.image_size)[exact], atol=1e-8)


def test_ramps_come_back_whole_from_a_larger_canvas():
    placement = Canvas(64, 48).place(30, 20)
    back = placement.map_to_image(placement.map_to_canvas(ramp((30, 20)), fill=np.nan), fill=np.nan)
    np.testing.assert_allclose(back[1:-1, 1:-1], ramp((30, 20))[1:-1, 1:-1], atol=1e-8)


@examples
@given(views(image=60, canvas=50), st.sampled_from(["bilinear", "bicubic", "nearest"]))
def test_rendered_pixels_lie_where_the_placement_says(view, interpolation):
    """Red rises with x and blue with y, so that every rendered pixel tells where it comes from."""
    canvas, size, mirrored = view
    steps = 255 / np.array(size[::-1])
    image = np.insert(centres(size) * steps, 1, 0, axis=2).round().astype(np.uint8)
    rendered, placed = replace(canvas, interpolation=interpolation).render(image, mirrored)
    positions = placed.points_to_image(centres(canvas.size))
    # Filters that average reach this far, in image pixels; bicubic twice as far.
    reach = np.maximum(1, 1 / np.array(placed.scale)) * (2 if interpolation == "bicubic" else 1)
    error = np.abs(rendered[..., ::2] - positions * steps)[inside(positions, size, reach)]
    assert (error <= 2 + steps * (0.5 if interpolation == "nearest" else 0)).all()


@examples
@given(views(image=200, canvas=90))
def test_render_fills_the_extent_and_nothing_else(view):
    canvas, size, mirrored = view
    rendered, placed = canvas.render(np.full((*size, 3), 255, dtype=np.uint8), mirrored)
    rows, columns = placed.extent
    assert placed == place(view) and rendered.shape == (*canvas.size, 3)
    assert (rendered[:rows, :columns] == 255).all()
    assert not rendered[rows:].any() and not rendered[:, columns:].any()
    mask = placed.map_to_canvas(np.ones(size), fill=0, nearest=True)
    np.testing.assert_array_equal(mask > 0, rendered[..., 0] > 0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("image", [(50, 120), (121, 50), (20, 33), (300, 47)])
def test_a_crop_is_the_middle_of_the_whole_resized(image, interpolation):
    pixels = noise(*image, 3)
    rendered, placed = Canvas(48, 40, fit="crop", interpolation=interpolation).render(pixels)
    whole = tuple(round(n * s) for n, s in zip(image, placed.scale, strict=True))
    y, x = (int(-o) for o in placed.offset)
    assert (y, x) == ((whole[0] - 48) // 2, (whole[1] - 40) // 2)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    resized = np.asarray(Image.fromarray(pixels).resize(whole[::-1], filters[interpolation]))
    assert np.abs(resized[y : y + 48, x : x + 40].astype(int) - rendered).max() <= 1


def test_render_mirrors_the_image_not_the_canvas():
    pixels = noise(30, 50, 3)
    for fit in FITS:
        rendered, placed = Canvas(37, 41, fit=fit).render(pixels, mirrored=True)
        expected, plain = Canvas(37, 41, fit=fit).render(pixels[:, ::-1])
        np.testing.assert_array_equal(rendered, expected)
        assert placed == plain.mirror() and placed.mirrored


@pytest.mark.parametrize("shape", [(1, 10000, 3), (10000, 1, 3)])
def test_a_strip_is_never_enlarged_beyond_the_canvas(shape, monkeypatch):
    asked, resize = [], Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda *a, **k: asked.append(a[1]) or resize(*a, **k))
    rendered, placed = Canvas(640, fit="crop").render(np.full(shape, 9, dtype=np.uint8))
    assert asked == [(640, 640)] and (rendered == 9).all()
    assert placed.scale == (640, 640)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_labels_round_trip_exactly_at_whole_scales(fit, mirrored, factor):
    labels = noise(11, 9)
    room = 5 if fit == "letterbox" else 0
    placement = Canvas(11 * factor + room, 9 * factor, fit=fit).place(11, 9)
    placement = placement.mirror() if mirrored else placement
    there = placement.map_to_canvas(labels, fill=255, nearest=True)
    assert there.dtype == labels.dtype and (there[11 * factor :] == 255).all()
    expected = np.kron(labels[:, ::-1] if mirrored else labels, np.ones((factor, factor), dtype=np.uint8))
    np.testing.assert_array_equal(there[: 11 * factor], expected)
    np.testing.assert_array_equal(placement.map_to_image(there, fill=255, nearest=True), labels)


@pytest.mark.parametrize(("nearest", "mode"), [(False, "bilinear"), (True, "nearest-exact")])
def test_maps_agree_with_torch(nearest, mode):
    placement = Canvas(25, 31, fit="stretch").place(47, 53)  # odd sizes: no sample lies between two pixels
    rng = np.random.default_rng(0)
    for shape, size, resample in (
        ((3, 47, 53), (25, 31), placement.map_to_canvas),
        ((3, 25, 31), (47, 53), placement.map_to_image),
    ):
        values = rng.standard_normal(shape).astype(np.float32)
        theirs = F.interpolate(torch.from_numpy(values)[None], size=size, mode=mode)[0].numpy()
        ours = resample(values, fill=0, nearest=nearest)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("image", [(50, 33), (33, 50), (500, 330), (33, 500)])
def test_padding_is_never_read(image):
    placement = Canvas(64).place(*image)
    canvas = np.full((64, 64), np.nan)
    canvas[: placement.extent[0], : placement.extent[1]] = 1.0
    for nearest in (False, True):
        assert (placement.map_to_image(canvas, fill=0, nearest=nearest) == 1).all()


def test_what_a_crop_cut_away_is_filled():
    placement = Canvas(20, fit="crop").place(20, 50)
    back = placement.map_to_image(np.ones((20, 20)), fill=-1)
    assert (back[:, 15:35] == 1).all() and (back[:, :15] == -1).all() and (back[:, 35:] == -1).all()


@examples
@given(placements())
def test_placements_and_canvases_are_json(placement):
    assert Placement.from_dict(json.loads(json.dumps(placement.to_dict()))) == placement
    canvas = Canvas(*placement.canvas_size, interpolation="bicubic")
    assert Canvas(**json.loads(json.dumps(canvas.to_dict()))) == canvas


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Canvas(0), "0x0"),
        (lambda: Canvas(64, -2), "64x-2"),
        (lambda: Canvas(64, fit="squeeze"), "squeeze.*letterbox"),
        (lambda: Canvas(64, interpolation="area"), "area.*nearest"),
        (lambda: Canvas(64).place(0, 5), "0x5"),
        (lambda: Canvas(64).place(4, 5).map_to_image(np.zeros((4, 4)), 0), r"\(4, 4\).*canvas \(64, 64\)"),
        (lambda: Canvas(64).place(4, 5).map_to_canvas(np.zeros((5, 4)), 0), r"\(5, 4\).*image \(4, 5\)"),
        (lambda: Canvas(64).render(np.zeros((4, 5, 3))), "float64"),
        (lambda: Canvas(64).render(np.zeros((4, 5), dtype=np.uint8)), r"\(4, 5\)"),
    ],
)
def test_mistakes_are_named(wrong, words):
    with pytest.raises(ArgusError, match=words):
        wrong()
