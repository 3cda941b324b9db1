"""``Argus.watch``: a film walked frame by frame in Python."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core import Argus, ArgusError, Canvas, Classify, Depth, build_head, load_backbone
from argus_core.video.read import Video
from bundle_help import shaken
from film_help import make_film


@pytest.fixture(scope="module")
def argus():
    backbone = load_backbone("tiny")
    kinds = build_head("classify.linear", backbone.info, Classify(classes=("cat", "dog")))
    metres = build_head("depth.linear", backbone.info, Depth(), {"bins": 8})
    return Argus(backbone, {"kinds": shaken(kinds), "metres": shaken(metres)}, Canvas(64))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film") / "a.mp4")


def test_frames_come_with_numbers_times_and_answers(argus, film):
    argus.batch = 3
    found = list(argus.watch(film, every=4))
    assert [frame.number for frame in found] == [0, 4, 8, 12, 16]
    assert [frame.time for frame in found] == pytest.approx([0, 0.16, 0.32, 0.48, 0.64])
    alone = argus.perceive(found[3].image)
    assert np.allclose(found[3].perception["depth"].metres, alone["depth"].metres, atol=1e-4)
    assert not np.allclose(found[0].perception["depth"].metres, alone["depth"].metres, atol=1e-4)


def test_tasks_limit_and_embeddings_are_passed_on(argus, film):
    (first, second) = argus.watch(str(film), limit=2, tasks=["classify"], embeddings=True)
    assert list(first.perception.results) == ["kinds"] and second.number == 1
    assert np.linalg.norm(first.perception.embedding) == pytest.approx(1, abs=1e-4)


def test_no_more_than_a_batch_is_read_ahead(argus, film, monkeypatch):
    read = []
    frames = Video.frames
    monkeypatch.setattr(
        Video, "frames", lambda self, every: (read.append(one.number) or one for one in frames(self, every))
    )
    argus.batch = 4
    walk = argus.watch(film)
    assert not read
    assert next(walk).number == 0 and len(read) == 4
    for _ in range(4):
        frame = next(walk)
    assert frame.number == 4 and len(read) == 8


def test_what_cannot_be_watched_is_said(argus, film, tmp_path):
    for options, message in (({"every": 0}, "every=0"), ({"limit": -1}, "limit=-1"), ({"tasks": ["detect"]}, "detect")):
        with pytest.raises(ArgusError, match=message):
            argus.watch(film, **options)
    with pytest.raises(ArgusError, match="No such file"):
        list(argus.watch(tmp_path / "gone.mp4"))


def test_damage_is_a_warning_and_the_other_frames_come(argus, film, tmp_path):
    cut = tmp_path / "cut.mkv"
    whole = make_film(tmp_path / "whole.mkv", codec="mpeg4", times=[n / 10 for n in range(40)], rate=10)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.warns(UserWarning, match="ends early"):
        assert 5 < len(list(argus.watch(cut))) < 40
