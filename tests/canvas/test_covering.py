"""How tiles cover canvases, and the canvases that large images take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_core.canvas import Canvas, Tiles
from argus_core.canvas.large import LargeCanvas, Tiling
from argus_core.errors import ArgusError

CELL = 16


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    overlap=st.floats(0, 0.95),
    shown=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_every_cell_with_image_belongs_to_one_tile_that_reads_it(rows, columns, height, width, overlap, shown):
    canvas = (rows * CELL, columns * CELL)
    extent = tuple(max(1, int(side * share)) for side, share in zip(canvas, shown, strict=True))
    tiles = Tiles(height * CELL, width * CELL, overlap=overlap)
    owners = np.zeros(canvas, dtype=int)
    for tile in tiles.cover(canvas, extent, CELL):
        for span, side, size, end in zip(tile, canvas, tiles.size, extent, strict=True):
            assert span.size == min(size, side)
            assert 0 <= span.start <= span.own.start < span.own.stop <= span.start + span.size <= side
            assert all(n % CELL == 0 for n in (span.start, span.own.start, span.own.stop))
            assert span.start < end, "a tile in padding alone"
        owners[tile.rows.own, tile.columns.own] += 1
    cells = [-(-end // CELL) * CELL for end in extent]
    assert (owners[: cells[0], : cells[1]] == 1).all()


@pytest.mark.parametrize("overlap", [0, 0.2, 0.5])
@pytest.mark.parametrize("length", [640, 656, 1280, 2560, 4000])
def test_neighbours_share_at_least_the_overlap_and_no_tile_more_than_needed(length, overlap):
    tiles = Tiles(640, overlap=overlap)
    starts = [tile.columns.start for tile in tiles.cover((640, length), (640, length), CELL)]
    shared = [640 - (after - before) for before, after in pairwise(starts)]
    assert all(n >= 640 * overlap for n in shared)
    step = int(640 * (1 - overlap)) // CELL * CELL
    assert len(starts) == 1 + -(-(length - 640) // step)
    assert max(shared, default=0) - min(shared, default=0) <= CELL


def test_cells_belong_to_the_tile_whose_centre_is_nearest():
    tiles = list(Tiles(64, overlap=0.4).cover((64, 336), (64, 336), CELL))
    for x in range(0, 336, CELL):
        (owner,) = (tile.columns for tile in tiles if tile.columns.own.start <= x < tile.columns.own.stop)
        distances = [abs(tile.columns.start + 32 - (x + CELL / 2)) for tile in tiles]
        assert abs(owner.start + 32 - (x + CELL / 2)) <= min(distances) + CELL


def test_tiles_that_make_no_sense_are_refused():
    for wrong in ({"overlap": 1}, {"overlap": -0.1}, {"overlap": float("nan")}, {"batch": 0}):
        with pytest.raises(ArgusError):
            Tiles(64, **wrong)
    with pytest.raises(ArgusError, match="empty"):
        Tiles(-16)
    with pytest.raises(ArgusError, match="64x96 and 96x128"):
        list(Tiles(70, 100).cover((200, 200), (200, 200), 32))


def test_a_canvas_with_tiles_is_written_and_read_back_and_one_without_is_as_before():
    canvas = Canvas(640, 960, tiles=Tiles(320, overlap=0.3))
    assert Canvas(**canvas.to_dict()) == canvas != Canvas(640, 960)
    assert "tiles" not in Canvas(640, 960).to_dict()


def test_an_image_that_fits_takes_the_usual_canvas():
    usual = Canvas(320, 480, fit="stretch")
    for tiles, fits, larger in (
        ("auto", (320, 480), (321, 480)),
        (960, (640, 960), (642, 960)),
        (240, (160, 240), (160, 241)),
    ):
        tiling = Tiling(tiles)
        assert tiling.canvas(usual, fits, 32) is usual
        assert isinstance(tiling.canvas(usual, larger, 32), LargeCanvas)


@pytest.mark.parametrize("size", [(1, 2000), (30, 10000), (1000, 700), (421, 320), (640, 640)])
@pytest.mark.parametrize("tiles", ["auto", 400])
def test_a_large_canvas_shows_the_whole_image_at_the_scale_that_was_asked_for(size, tiles):
    canvas = Tiling(tiles, overlap=0.25).canvas(Canvas(320), size, 32)
    scale = 1 if tiles == "auto" else 320 / 400
    place = canvas.place(*size)
    assert place.offset == (0, 0) and place.extent == tuple(max(1, round(n * scale)) for n in size)
    assert all(0 <= side - n < 32 and side % 32 == 0 for side, n in zip(place.canvas_size, place.extent, strict=True))
    corners = place.points_to_canvas(np.array([[0.0, 0.0], [size[1], size[0]]]))
    assert np.allclose(corners, [[0, 0], place.extent[::-1]])


def test_an_image_at_full_scale_is_shown_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (333, 555, 3), dtype=np.uint8)
    pixels, _ = Tiling("auto").canvas(Canvas(320), (333, 555), 32).render(image)
    assert (pixels[:333, :555] == image).all() and not pixels[333:].any() and not pixels[:, 555:].any()


def test_windows_are_the_tiles_placed_on_the_image():
    canvas = Tiling(400).canvas(Canvas(320), (900, 1300), 32)
    assert isinstance(canvas, LargeCanvas)
    whole, seen = canvas.place(900, 1300), np.zeros((900, 1300), dtype=int)
    for window, tile in zip(canvas.windows(900, 1300), canvas.cover(whole), strict=True):
        corner = np.array([[tile.columns.start, tile.rows.start]], dtype=float)
        assert np.allclose(window.points_to_image(np.zeros((1, 2))), whole.points_to_image(corner))
        (x1, y1), (x2, y2) = window.points_to_image(np.array([[0.0, 0.0], window.extent[::-1]])).round().astype(int)
        seen[y1:y2, x1:x2] += 1
    assert seen.min() >= 1


def test_tilings_that_make_no_sense_are_refused():
    for wrong in ({"tiles": 0}, {"tiles": "all"}, {"tiles": True}, {"tiles": 1.5}, {"overlap": 1}, {"merge": "boxes"}):
        with pytest.raises(ArgusError):
            Tiling(**wrong)
    with pytest.raises(ArgusError, match=r"tiles of 33 px would be enlarged 9.7 times.*at least 160, or auto for 320"):
        Tiling(33).canvas(Canvas(320), (1000, 1000), 32)
