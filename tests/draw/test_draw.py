"""Pictures of predictions: what is promised of every picture, then each kind against what it must show."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from argus_core.draw import (
    class_color,
    depth_image,
    draw_boxes,
    draw_classes,
    draw_depth,
    draw_mask,
    draw_matches,
    draw_pca,
    draw_similarity,
    index_image,
    index_png,
    paint_depth,
    paint_mask,
    side_by_side,
    write_depth_png,
    write_index_png,
)
from argus_core.draw.boxes import place_tags
from argus_core.draw.depth import depth_scale
from argus_core.draw.legend import Entry, legend
from argus_core.draw.masks import shares
from argus_core.draw.palette import GREY, class_colors, ink_on
from argus_core.draw.panel import enlarged, factor_for, resized_map
from argus_core.draw.scale import Scale, ramp, scale_bar, ticks
from argus_core.draw.text import fit, font, font_for, plain
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes, Detections

SIZES = [(1, 1), (1, 5000), (5000, 1), (3, 4), (37, 53), (301, 200), (90, 700)]
NAMES = ("wall", "a class with a long name, as in a fine-grained data set of many thousands", "crème brûlée", "x")


def image(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def labels(size, classes=4, ignore=255):
    out = np.random.default_rng(1).integers(0, classes + 1, size)
    return np.where(out == classes, ignore, out)


def detections(size):
    h, w = size
    boxes = torch.tensor([[0, 0, w, h], [w / 3, h / 3, w / 2, h / 2], [-9, -9, w + 9, h / 2], [w - 0.2, 0, w, h]])
    return Detections(boxes.float(), torch.tensor([0.2, 0.9, 0.5, 0.7]), torch.tensor([0, 1, 2, 3]))


def truth(boxes, labels):
    rows, n = np.array(boxes, dtype=np.float64).reshape(-1, 4), len(labels)
    return Boxes(rows, np.array(labels, dtype=np.int64), np.zeros(n, dtype=bool), np.ones(n))


def points(size, n=7):
    return np.random.default_rng(2).uniform(0, 1, (n, 2)) * (size[1], size[0])


def maps(h=4, w=5, c=6):
    return torch.randn(c, h, w, generator=torch.Generator().manual_seed(0))


KINDS = {
    "boxes": lambda one, size: draw_boxes(one, detections(size), NAMES),
    "mask": lambda one, size: draw_mask(one, labels(size), NAMES),
    "classes": lambda one, size: draw_classes(one, [(name, 0.25) for name in NAMES]),
    "matches": lambda one, size: draw_matches(one, image((20, 30)), points(size), points((20, 30))),
    "scored": lambda one, size: draw_matches(one, one, points(size), points(size), scores=np.linspace(0, 1, 7)),
    "judged": lambda one, size: draw_matches(one, one, points(size), points(size), right=np.arange(7) % 2),
    "similarity": lambda one, size: draw_similarity(one, maps(), 16, (0.0, 0.0)),
    "depth": lambda one, size: draw_depth(one[..., 0] / 25),
    "beside": lambda one, size: side_by_side([one, image((9, 9))], ["one", NAMES[1]]),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_images_of_every_shape_and_leaves_them_as_they_were(kind, size):
    one = image(size)
    one.flags.writeable = False
    before = one.copy()
    picture = KINDS[kind](one, size)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.flags.writeable
    assert picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
    assert np.array_equal(one, before)
    assert np.array_equal(picture, KINDS[kind](one, size))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_explanations_stand_beside_the_picture_not_on_it(size):
    one = image(size)
    big, factor = enlarged(one)
    h, w = big.shape[:2]
    masks, depths = (
        (np.kron(each, np.ones((factor, factor), each.dtype))) for each in (labels(size), one[..., 0] / 25)
    )
    for below in (None, True, False):
        drawn = draw_mask(one, labels(size), NAMES, below=below)
        assert np.array_equal(drawn[:h, :w], paint_mask(big, masks, 4))
        assert below is None or (drawn.shape[0] > h if below else drawn.shape[1] > w)
        drawn = draw_depth(one[..., 0] / 25, 1, 9, below=below)
        assert np.array_equal(drawn[:h, :w], paint_depth(depths, 1, 9))
        assert below is None or (drawn.shape[0] > h if below else drawn.shape[1] > w)
    assert np.array_equal(draw_classes(one, [("x", 0.5)])[:h, :w], big)
    assert draw_boxes(one, detections(size), NAMES).shape == big.shape


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_small_images_are_enlarged_to_what_can_be_written_on(height, width):
    factor = factor_for((height, width))
    assert factor >= 1 and (factor == 1 or factor * max(height, width) <= 1600)
    assert (factor - 1) ** 2 * height * width < 360**2
    large = height * width * factor**2 >= 360**2
    assert large or (factor + 1) * max(height, width) > 1600


def test_maps_are_enlarged_without_new_values():
    values = np.random.default_rng(0).integers(0, 9, (5, 7))
    assert np.array_equal(resized_map(values, (15, 21)), np.kron(values, np.ones((3, 3), int)))
    assert np.array_equal(resized_map(values, (5, 7)), values)
    assert set(np.unique(resized_map(values, (13, 4)))) <= set(np.unique(values))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "file.jpg"])
def test_what_is_no_image_is_named(wrong):
    with pytest.raises(ArgusError, match="image"):
        draw_classes(wrong, [("x", 0.5)])


def lab(colors):
    """CIELAB (D65) by its definition, to judge colours by something other than what chose them."""
    rgb = np.asarray(colors) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(xyz / (0.9505, 1.0, 1.089))
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def test_class_colours_are_far_apart_and_none_is_grey():
    colors = class_colors()
    assert len(np.unique(colors, axis=0)) == len(colors) == 512
    every = lab(colors)
    apart = np.linalg.norm(every[:, None] - every[None], axis=-1) + 1000 * np.eye(len(every))
    for count, least in ((10, 25), (20, 15), (40, 10), (150, 5)):
        assert apart[:count, :count].min() > least
    assert np.linalg.norm(np.diff(every[:300], axis=0), axis=1).min() > 15  # labels that follow each other
    assert np.linalg.norm(every[:, 1:], axis=1).min() > 8
    assert class_color(512 + 3) == class_color(3) == tuple(colors[3])


def contrast(one, other):
    """WCAG 2's ratio."""
    light = []
    for color in (one, other):
        rgb = np.array(color) / 255
        light.append(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_names_can_be_read_on_every_class_colour():
    assert min(contrast(color, ink_on(tuple(color))) for color in class_colors()) > 3


def test_the_colour_map_rises_evenly_in_lightness():
    light = lab(ramp())[:, 0]
    steps = np.diff(light)
    assert len(ramp()) == 256 and light[0] < 10 and light[-1] > 90
    assert steps.min() > -0.25 and np.diff(light[::8]).min() > 1.5  # bytes are not finer
    assert np.linalg.norm(np.diff(lab(ramp()), axis=0), axis=1).max() < 3


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(5, 9))
def test_ticks_are_round_numbers_in_order(low, span, most):
    assume(span > 1e-4 * abs(low))
    high = low + span
    numbers, decimals = ticks(low, high, most)
    assert 2 <= len(numbers) <= most
    slack = 1e-5 * span
    assert low - slack <= numbers[0] and numbers[-1] <= high + slack
    steps = np.diff(numbers)
    assert (steps > 0).all() and np.allclose(steps, steps[0], rtol=1e-6)
    digit = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-6)
    assert min(abs(digit - nice) for nice in (1, 2, 5)) < 1e-4
    texts = [f"{number:.{decimals}f}" for number in numbers]
    assert len(set(texts)) == len(texts)
    assert np.allclose([float(text) for text in texts], numbers, atol=1e-6 * span)


@pytest.mark.parametrize("value", [0.0, 2.345, 1e-5, 12345.0])
def test_a_range_of_one_number_has_one_tick(value):
    numbers, decimals = ticks(value, value, 5)
    assert numbers == [value]
    assert float(f"{value:.{decimals}f}") == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize("lying", [True, False])
@pytest.mark.parametrize("room", [1, 50, 700])
@pytest.mark.parametrize("size", [12, 40])
def test_a_scale_bar_shows_its_ends_and_cuts_no_number(lying, room, size):
    low, high = ramp()[0], ramp()[-1]
    bar = np.asarray(scale_bar(Scale(0.5, 9000.25, "m"), room, font(size), lying)).astype(int)
    assert bar.shape[1 if lying else 0] >= room
    for color in (low, high):
        assert (bar == color).all(axis=2).any()
    edges = [bar[:, -1], bar[-1]] + ([bar[:, 0]] if lying else [bar[0]])
    assert all((edge == 255).all() for edge in edges)


def test_a_pointed_end_tells_of_numbers_beyond():
    plain, above = (np.asarray(scale_bar(Scale(0, 1, above=more), 200, font(20), False)) for more in (False, True))
    changed = np.flatnonzero((plain != above).any(axis=(1, 2)))
    assert len(changed) and changed.max() < 40 and (above[changed, 0] == 255).all()


def test_near_is_light_far_is_dark_and_unknown_grey():
    depth = np.array([[0.5, 1, 2, 4, 8, 16, 0, np.nan, np.inf, -np.inf, -3, 1e300]])
    colors = paint_depth(depth, 1, 8)[0]
    assert np.diff(lab(colors[1:5])[:, 0]).max() < 0
    assert np.array_equal(colors[0], colors[1]) and np.array_equal(colors[5], colors[4])
    assert np.array_equal(colors[11], colors[4])
    assert (colors[6:11] == GREY).all()


def test_the_range_of_depth_leaves_out_the_unknown_and_outliers():
    depth = np.linspace(2, 4, 10000).reshape(100, 100)
    depth[0], depth[1, :5] = 0, 900
    scale = depth_scale(depth)
    assert 2 < scale.low < 2.1 and 3.9 < scale.high < 4.1
    assert scale.below and scale.above and scale.unknown
    assert depth_scale(depth, 0, 1000) == Scale(0, 1000, "m", True, unknown="unknown")
    assert depth_scale(depth, low=50).high == 50 and depth_scale(depth, high=1).low == 1


@pytest.mark.parametrize("fill", [0.0, np.nan, 3.0])
def test_depth_of_one_value_or_none(fill):
    picture = paint_depth(np.full((5, 7), fill, np.float32))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
    assert draw_depth(np.full((5, 7), fill)).shape[0] > 5
    assert (picture == GREY).all() == (fill != 3)


@pytest.mark.parametrize("limits", [(3, 2), (np.nan, 2), (0, np.inf)])
def test_a_range_of_depth_that_is_none_is_refused(limits):
    with pytest.raises(ArgusError, match="not a range"):
        draw_depth(np.ones((3, 3)), *limits)


@pytest.mark.parametrize("wrong", [np.ones((2, 3, 1)), np.ones((0, 3)), np.array([["a"]])])
def test_what_is_no_depth_map_is_refused(wrong):
    for draw in (draw_depth, depth_image):
        with pytest.raises(ArgusError, match="metres"):
            draw(wrong)


def test_depth_files_hold_millimetres(tmp_path):
    depth = np.random.default_rng(0).uniform(0.001, 65, (40, 50))
    depth[0, :7] = 0, np.nan, np.inf, -1, 1e-5, 66, 1e300
    write_depth_png(tmp_path / "new" / "depth.png", torch.from_numpy(depth))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["depth.png"]
    with Image.open(tmp_path / "new" / "depth.png") as file:
        assert file.mode.startswith("I;16")
        read = np.asarray(file)
    assert read.dtype == np.uint16
    assert read[0, :7].tolist() == [0, 0, 0, 0, 1, 65535, 65535]
    assert np.abs(read[1:] / 1000 - depth[1:]).max() <= 0.0005 + 1e-9


def read_png(content):
    with Image.open(io.BytesIO(content)) as file:
        return np.asarray(file), file.mode, file.getpalette()


@pytest.mark.parametrize("classes", [1, 2, 255])
def test_index_masks_of_few_classes_hold_labels_and_colours(classes):
    given_ = labels((31, 47), classes)
    read, mode, palette = read_png(index_png(given_, classes))
    assert mode == "P" and read.dtype == np.uint8 and np.array_equal(read, given_)
    assert tuple(palette[:3]) == class_color(0) and tuple(palette[765:768]) == GREY
    assert np.array_equal(np.asarray(index_image(given_, classes)), given_)


@pytest.mark.parametrize("ignore", [-1, 1000, 65535])
def test_index_masks_of_many_classes_take_16_bits_whichever_are_present(ignore, tmp_path):
    for highest in (3, 300):
        given_ = labels((31, 47), highest, ignore)
        write_index_png(tmp_path / "mask.png", torch.from_numpy(given_), 300, ignore)
        read, mode, _ = read_png((tmp_path / "mask.png").read_bytes())
        assert mode.startswith("I;16") and np.array_equal(read, np.where(given_ == ignore, 65535, given_))
    few = labels((5, 6), 3, ignore)
    assert np.array_equal(np.asarray(index_image(few, 3, ignore)), np.where(few == ignore, 255, few))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (np.array([[4]]), "label 4"),
        (np.array([[-2]]), "label -2"),
        (np.ones((2, 2)), "integer"),
        (np.ones(3, int), "h, w"),
    ],
)
def test_labels_that_are_none_are_refused(wrong, match):
    with pytest.raises(ArgusError, match=match):
        index_png(wrong, 4)
    with pytest.raises(ArgusError, match=match):
        draw_mask(image((2, 2)), wrong, NAMES)


def test_masks_are_refused_that_do_not_fit():
    with pytest.raises(ArgusError, match=r"3x2 .* the image 2x3"):
        draw_mask(image((2, 3)), np.zeros((3, 2), int), NAMES)
    with pytest.raises(ArgusError, match="ignore=255 is the index"):
        index_png(np.zeros((3, 2), int), 300)
    with pytest.raises(ArgusError, match="opacity"):
        draw_mask(image((2, 3)), np.zeros((2, 3), int), NAMES, opacity=1.5)
    with pytest.raises(ArgusError, match="1 to 65535 classes"):
        index_png(np.zeros((3, 2), int), 0)


def test_masks_show_the_colours_of_their_classes():
    flat = np.repeat([[0, 1, 2, 255]], 8, axis=0).repeat(8, axis=1)
    painted = paint_mask(image(flat.shape), flat, 4, opacity=1.0)
    for label in range(3):
        assert (painted[flat == label] == class_color(label)).all()
    rest = painted[flat == 255]
    assert (rest == rest[:, :1]).all() and rest.std() > 0  # the image in grey
    assert np.array_equal(paint_mask(image(flat.shape), flat * 0, 4, opacity=0.0), image(flat.shape))


def test_large_masks_have_lines_between_classes():
    flat = np.zeros((400, 400), int)
    flat[:, 200:] = 1
    painted = paint_mask(np.zeros((400, 400, 3), np.uint8), flat, 2)
    light = painted.min(axis=(0, 2))
    assert light[198:202].max() > 100 and light[:190].max() < 50 and light[210:].max() < 50


def test_shares_are_sorted_and_sum_to_one():
    found = shares(torch.tensor([[3, 3, 3, 255, 255, 255, 255, 1, 1, 0]]))
    assert found == [(3, 0.3), (1, 0.2), (0, 0.1), (-1, 0.4)]
    assert shares(np.full((3, 4), 255)) == [(-1, 1.0)]


def test_a_mask_without_any_label_is_drawn():
    one = image((40, 50))
    picture = draw_mask(one, np.full((40, 50), 255), NAMES)
    assert (picture[:40, :50] == picture[:40, :50, :1]).all() and picture.shape[1] > 50


def test_a_legend_of_300_classes_stays_of_a_size():
    every = np.arange(300 * 40).reshape(100, 120) % 300
    names = [f"class {k}" for k in range(300)]
    picture = draw_mask(image((100, 120)), every, names, ignore=-1)
    assert picture.shape[0] < 450 and picture.shape[1] < 900
    entries = [Entry(class_color(k), name, "1 %") for k, name in enumerate(names)]
    for lying, room in itertools.product((True, False), (1, 300, 5000)):
        panel = legend(entries, room, font(12), lying)
        assert panel.width <= max(room, 500) and (lying or panel.height <= max(room, 200))


def test_boxes_cover_the_pixels_they_touch_and_no_others():
    for side, factor in ((360, 1), (90, 4)):
        black = np.zeros((side, side, 3), np.uint8)
        found = truth([[30.0, 40.0, 60.0, 70.0]], [2])
        drawn = draw_boxes(black, found, ["", "", ""])
        rows, columns = np.nonzero(drawn.any(axis=2))
        corners = np.array([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1])
        assert (corners / factor).tolist() == [40, 70, 30, 60]
        assert (drawn[40 * factor, 30 * factor : 60 * factor] == class_color(2)).all()
        assert not drawn[50 * factor, 45 * factor].any()


def test_no_boxes_leave_the_image():
    for found in (
        Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long)),
        truth([], []),
    ):
        assert np.array_equal(draw_boxes(image((30, 40)), found, NAMES), enlarged(image((30, 40)))[0])


def test_the_best_detection_is_on_top():
    boxes = torch.tensor([[40.0, 160, 320, 320], [40.0, 160, 320, 320]])
    found = Detections(boxes, torch.tensor([0.1, 0.9]), torch.tensor([0, 3]))
    for overlap in (0.5, None):
        assert tuple(draw_boxes(image((360, 360)), found, NAMES, overlap)[319, 160]) == class_color(3)


def colors_in(picture):
    return {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_of_overlapping_detections_of_any_classes_the_best_is_drawn_but_every_annotation():
    black = np.zeros((400, 400, 3), np.uint8)
    rows = [[50.0, 100, 250, 300], [60, 110, 250, 300], [45, 90, 245, 300], [300, 300, 360, 360]]
    found = Detections(torch.tensor(rows), torch.tensor([0.5, 0.9, 0.6, 0.3]), torch.arange(4))
    own = [class_color(k) for k in range(4)]
    names = ["a", "b", "c", "d"]
    assert colors_in(draw_boxes(black, found, names)).isdisjoint((own[0], own[2]))
    assert {own[1], own[3]} < colors_in(draw_boxes(black, found, names))
    assert set(own) < colors_in(draw_boxes(black, found, names, overlap=None))
    assert set(own) < colors_in(draw_boxes(black, truth(rows, range(4)), names))
    with pytest.raises(ArgusError, match="IoU"):
        draw_boxes(black, found, names, overlap=1.5)


def tag_pixels(picture, plain_picture):
    """How many pixels the names change."""
    return int((picture != plain_picture).any(axis=2).sum())


def test_an_object_has_one_name_whatever_is_drawn_of_it():
    black = np.zeros((400, 400, 3), np.uint8)
    one, three = [[100.0, 100, 300, 300]], [[100.0, 100, 300, 300], [80, 80, 280, 280], [120, 120, 300, 300]]
    for overlap in (None, 0.5):
        counts = []
        for rows in (one, three):
            n = len(rows)
            found = Detections(torch.tensor(rows), torch.linspace(0.9, 0.5, n), torch.zeros(n, dtype=torch.long))
            named, bare = draw_boxes(black, found, ["dog"], overlap), draw_boxes(black, found, [""], overlap)
            counts.append(tag_pixels(named, bare))
        assert counts[0] > 0 and abs(counts[1] - counts[0]) <= 0.1 * counts[0]


@pytest.mark.parametrize("size", [(32, 32), (192, 192), (480, 640), (900, 200), (100, 1500)])
def test_names_never_cover_the_picture_nor_a_box(size):
    random = np.random.default_rng(3)
    corner = random.uniform(0, 0.9, (60, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0.02, 0.1, (60, 2))], axis=1) * ([size[1], size[0]] * 2)
    blank = np.zeros((*size, 3), np.uint8)
    long = ["a class with a very long name"] * 60
    bare, named = (draw_boxes(blank, truth(boxes, range(60)), names) for names in ([""] * 60, long))
    changed = (bare != named).any(axis=2)
    assert changed.mean() < 0.13
    factor = bare.shape[0] / size[0]
    for x1, y1, x2, y2 in (boxes * factor).round().astype(int):
        assert changed[y1:y2, x1:x2].mean() < 0.45 if (y2 - y1) * (x2 - x1) else True


@pytest.mark.parametrize(("box", "label", "match"), [(float("nan"), 0, "finite"), (1.0, 4, "label 4"), (1.0, -1, "-1")])
def test_boxes_that_cannot_be_drawn_are_named(box, label, match):
    found = truth([[box, 0, 5, 5]], [label])
    with pytest.raises(ArgusError, match=match):
        draw_boxes(image((20, 20)), found, NAMES)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 99)] * 4, st.integers(1, 30), st.integers(1, 60)), max_size=12))
def test_tags_are_all_in_the_picture(rows):
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d, _, _ in rows]
    sizes = [(height, width) for *_, height, width in rows]
    placed = place_tags(boxes, sizes, (100, 100))
    shown = [(place, tag) for place, tag in zip(placed, sizes, strict=True) if place]
    for (x1, y1, x2, y2), (height, width) in shown:
        assert (y2 - y1, x2 - x1) == (height, width)
        assert min(x1, y1) >= 0 and max(x2, y2) <= 100
    assert sum(height * width for _, (height, width) in shown) <= 1200
    for (one, _), (other, _) in itertools.combinations(shown, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_tags_of_crossing_boxes_do_not_hide_each_other():
    boxes = [(20 + k, 50 + k, 100 + k, 90 + k) for k in range(4)]
    placed = place_tags(boxes, [(10, 30)] * 4, (200, 200))
    assert all(placed)
    assert place_tags(boxes, [None, (10, 30), None, None], (200, 200)) == [None, (21, 41, 51, 51), None, None]
    assert place_tags([(0, 0, 12, 6)], [(10, 30)], (10, 200)) == [None]  # it would hide its box
    assert placed[0] == (20, 40, 50, 50)  # above its box, at the left
    for one, other in itertools.combinations(placed, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40), st.integers(0, 300))
def test_text_is_cut_to_the_width_it_has(text, width):
    face = font_for((100, 100))
    assert face.getlength(fit(text, face, width)) <= width


def test_text_keeps_what_it_can():
    assert fit("crème\nbrûlée", font(12), 1000) == "creme brulee"
    assert plain("\U0010fffd dog") in ("? dog", " dog", "dog")
    assert fit("abcdefghij" * 3, font(12), 60).endswith("…")


def test_classes_show_their_scores_as_bars():
    empty, half, full = (draw_classes(image((400, 400)), [("x", score)])[410:] for score in (0.0, 0.5, 1.0))
    blue = [((part == (47, 126, 216)).all(axis=2)).any(axis=0).sum() for part in (empty, half, full)]
    assert blue[0] == 0 and blue[2] > 200 and abs(blue[1] - blue[2] / 2) <= 2
    for odd in (-1.0, 7.0, float("nan")):
        assert draw_classes(image((50, 400)), [("x", odd)]).shape == draw_classes(image((50, 400)), [("x", 0.5)]).shape
    assert np.array_equal(draw_classes(image((400, 400)), []), image((400, 400)))


def test_matches_are_drawn_where_they_are_after_enlarging():
    small, large = np.zeros((50, 60, 3), np.uint8), np.zeros((100, 120, 3), np.uint8)
    for first, second, a, b in ((small, large, (30, 20), (30.0, 80.0)), (large, small, (60, 40), (15.0, 40.0))):
        picture = draw_matches(first, second, [a], [b], right=[True])
        green = np.flatnonzero((picture[:400] == (66, 205, 100)).all(axis=2).any(axis=0))
        assert picture.shape[1] >= 960 and abs(green.min() - 240) <= 5  # both images are 480 wide
        gap = picture.shape[1] - 960
        assert abs(green.max() - (480 + gap + 120)) <= 5


def test_matches_that_are_none_are_grey_and_counted():
    a, b = np.array([[5.0, 5], [20, 20], [30, 10]]), np.array([[5.0, 5], [np.nan, np.nan], [30, 10]])
    pair = image((40, 40)), image((40, 40))
    for more in (
        {},
        {"scores": [0.1, np.nan, 0.9]},
        {"right": [1, 0, 0]},
        {"scores": [np.nan] * 3},
        {"scores": [np.inf, -np.inf, 0.5]},
    ):
        assert draw_matches(*pair, a, b, **more).shape[0] > 40 or not more
    grey = draw_matches(np.zeros((40, 40, 3), np.uint8), pair[1], a, b)
    assert (grey[180, 180] == GREY).all()  # the images are nine times as large
    assert draw_matches(*pair, [], []).shape[0] == 360


@pytest.mark.parametrize("more", [{"points_b": np.zeros((2, 2))}, {"scores": [1.0]}, {"right": [1, 0]}])
def test_matches_need_one_of_everything(more):
    given_ = {"points_a": np.zeros((3, 2)), "points_b": np.zeros((3, 2)), **more}
    with pytest.raises(ArgusError, match="every match"):
        draw_matches(image((9, 9)), image((9, 9)), **given_)
    with pytest.raises(ArgusError, match=r"\(N, 2\)"):
        draw_matches(image((9, 9)), image((9, 9)), np.zeros((3, 3)), np.zeros((3, 3)))


def test_principal_components_depend_on_the_image_alone():
    tokens = maps(6, 8, 12)
    picture = draw_pca(tokens, 4, (22, 30))
    assert picture.shape == (22, 30, 3)
    assert draw_pca(tokens, 4).shape == (24, 32, 3) and draw_pca(tokens, 4, (22, 30), (7, 900)).shape == (7, 900, 3)
    for same in (
        tokens + 5,
        tokens[torch.randperm(12, generator=torch.Generator().manual_seed(1))],
        tokens.double() * 3,
    ):
        assert np.abs(draw_pca(same, 4, (22, 30)).astype(int) - picture).max() <= 1
    padded = torch.nn.functional.pad(tokens, (0, 3, 0, 2), value=100.0)
    assert np.array_equal(draw_pca(padded, 4, (22, 30)), picture)
    assert draw_pca(tokens.bfloat16(), 4, smooth=True).shape == (24, 32, 3)


@pytest.mark.parametrize("channels", [5, 200])
def test_principal_components_are_those_of_the_covariance(channels):
    tokens = maps(9, 11, channels) * torch.arange(1, channels + 1)[:, None, None]
    flat = tokens.flatten(1).T.double()
    _, _, directions = np.linalg.svd((flat - flat.mean(0)).numpy(), full_matrices=False)
    picture = draw_pca(tokens, 1).reshape(-1, 3)
    for channel in range(3):
        values = (flat.numpy() - flat.mean(0).numpy()) @ directions[channel]
        assert abs(np.corrcoef(values, picture[:, channel])[0, 1]) > 0.97  # the ends are cut


@pytest.mark.parametrize(
    "tokens", [torch.ones(4, 1, 1), torch.zeros(4, 3, 5), torch.ones(2, 3, 3), torch.randn(1, 2, 2)]
)
def test_principal_components_of_next_to_nothing(tokens):
    picture = draw_pca(tokens, 2)
    assert (picture[..., 1:] == 127).all()


def test_similarity_is_the_cosine_with_the_cell_under_the_point():
    tokens = torch.zeros(3, 4, 6)
    tokens[0, :, :3], tokens[1, :, 3:] = 1.0, 5.0
    blank = np.zeros((80, 120, 3), np.uint8)
    left = draw_similarity(blank, tokens, 16, (10, 10))[:320, :480].astype(int).sum(axis=2)
    right = draw_similarity(blank, tokens, 16, (110, 10))[:320, :480].astype(int).sum(axis=2)
    assert left[240, 20] > left[240, 460] and right[240, 460] > right[240, 20]
    padded = torch.nn.functional.pad(tokens, (0, 2, 0, 1), value=-3.0)
    assert np.array_equal(
        draw_similarity(blank, padded, 16, (10, 10), (64, 96)), draw_similarity(blank, tokens, 16, (10, 10))
    )


def test_tokens_that_cannot_be_drawn_are_refused():
    for point in ((-1.0, 3.0), (3.0, 10.1), (float("nan"), 1.0)):
        with pytest.raises(ArgusError, match="not in the image"):
            draw_similarity(image((10, 10)), maps(), 16, point)
    with pytest.raises(ArgusError, match="not finite"):
        draw_pca(maps() / 0, 16)
    with pytest.raises(ArgusError, match="extent"):
        draw_pca(maps(), 16, (64, 81))
    with pytest.raises(ArgusError, match=r"\(C, h, w\)"):
        draw_pca(maps()[None], 16)
