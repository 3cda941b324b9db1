"""Films of solids: deterministic, with identities that stay, objects that hide and return, and exact boxes."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core.errors import ArgusError
from argus_data.procedural.cast import _eased
from argus_data.procedural.film_file import write_film
from argus_data.procedural.films import Film, FilmFrame
from argus_data.procedural.render import SOLID, look


def shown(film: Film) -> dict[int, list[int]]:
    """The numbers of the frames in which each object is seen."""
    frames: dict[int, list[int]] = {}
    for number, frame in enumerate(film):
        for id in frame.ids.tolist():
            frames.setdefault(id, []).append(number)
    return frames


@pytest.fixture(scope="module")
def film() -> Film:
    return Film(3, size=(96, 128), seconds=10, rate=6)


def test_the_same_seed_gives_the_same_film_and_another_one_another(film):
    again, other = Film(3, size=(96, 128), seconds=10, rate=6), Film(4, size=(96, 128), seconds=10, rate=6)
    assert len(film) == 60
    assert np.array_equal(film[17].image, again[17].image)
    assert np.array_equal(film[17].boxes, again[17].boxes)
    assert film[17].image.shape == (96, 128, 3)
    assert not np.array_equal(film[17].image, other[17].image)


def test_every_frame_lists_what_it_shows(film):
    for frame in film:
        view = look(frame.world, frame.world.camera)
        assert len(frame.ids) == len(frame.boxes) == len(frame.labels) == len(frame.visibility)
        for box, id, label, share in zip(frame.boxes, frame.ids, frame.labels, frame.visibility, strict=True):
            assert frame.world.solids[id - 1].label == label
            y, x = np.nonzero(view.owner == SOLID + id - 1)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert 0 < share <= 1


def test_objects_hide_return_and_leave(film):
    frames = shown(film)
    gaps = [np.diff(numbers).max() for numbers in frames.values() if len(numbers) > 1]
    assert max(gaps) > 3  # hidden or outside for more than half a second
    assert min(frame.visibility.min() for frame in film if len(frame.ids)) < 0.5
    assert any(len(numbers) < len(film) for numbers in frames.values())


def test_objects_never_run_into_each_other(film):
    for frame in film:
        depths = [solid.place[1] for solid in frame.world.solids]
        assert np.diff(depths).min() > max(solid.size[[0, 2]].max() for solid in frame.world.solids)


def test_some_objects_look_like_others():
    textures = [[id(solid.texture) for solid in Film(seed)[0].world.solids] for seed in range(12)]
    twins = sum(len(film) - len(set(film)) for film in textures)
    assert 5 < twins < 40  # of 84


def test_a_walk_gathers_speed_and_slows_down():
    steps = np.diff([_eased(share) for share in np.linspace(0, 1, 101)])
    assert (_eased(0.0), _eased(1.0)) == (0.0, 1.0)
    assert np.allclose(steps, steps[::-1])
    assert (steps[:3] < 0.3 * steps[50]).all()
    assert (np.diff(steps) >= -1e-12)[:49].all()


def test_numbers_that_make_no_film_are_refused():
    for wrong in ({"seed": -1}, {"rate": 0}, {"actors": 0}, {"actors": 40}, {"size": (8, 8)}, {"seconds": 0}):
        with pytest.raises(ArgusError, match="no film has"):
            Film(**wrong)
    with pytest.raises(IndexError):
        Film(0)[len(Film(0))]


def test_one_actor_stands_still():
    frames = list(Film(0, size=(64, 64), seconds=1, rate=4, actors=1))
    assert all(isinstance(frame, FilmFrame) for frame in frames)
    assert all(np.array_equal(frame.boxes, frames[0].boxes) for frame in frames)


def test_a_film_as_a_file_has_its_truth_beside_it(tmp_path, film):
    av = pytest.importorskip("av")
    write_film(film, tmp_path / "walk.mp4")
    with av.open(str(tmp_path / "walk.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == film.rate
    assert len(frames) == len(film)
    assert np.abs(frames[20].astype(int) - film[20].image).mean() < 6
    rows = np.loadtxt(tmp_path / "walk.txt", delimiter=",")
    there = rows[rows[:, 0] == 21]
    assert there[:, 1].tolist() == film[20].ids.tolist()
    assert np.array_equal(there[:, 2:4] + there[:, 4:6], film[20].boxes[:, 2:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.mp4", "walk.txt"]
    with pytest.raises(ArgusError, match="not as"):
        write_film(film, tmp_path / "walk.gif")
