"""Times of frames from time stamps of every kind."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from argus_core.video.read import Video
from argus_core.video.times import AHEAD, Clock
from film_help import av, make_film, picture

STEP = Fraction(1, 10)


def times(stamps, start=0, **options):
    clock = Clock(None if start is None else Fraction(start), STEP, **options)
    return [float(clock.read(None if stamp is None else Fraction(str(stamp)))) for stamp in stamps]


@pytest.mark.parametrize(
    ("stamps", "start", "found"),
    [
        ([0, 0.1, 0.25], 0, [0, 0.1, 0.25]),
        ([7, 7.1], 5, [2, 2.1]),  # pictures that begin after the sound
        ([7, 7.1], None, [0, 0.1]),
        ([None, None, None], 0, [0, 0.1, 0.2]),
        ([0, None, 0.2], 0, [0, 0.1, 0.2]),
        ([0, 0.2, 0.1, 0.3], 0, [0, 0.2, 0.201, 0.3]),  # disorder does not shift what follows
        ([0, 0.1, 0.1, 0.1], 0, [0, 0.1, 0.101, 0.102]),
        ([20, 20.1, 0, 0.1], 20, [0, 0.1, 0.2, 0.3]),  # started again
        ([0, 60, 120], 0, [0, 60, 120]),  # a slide show
        ([0, 1e9, 1e9 + 0.1], 0, [0, 0.1, 0.2]),
    ],
)
def test_times_rise_from_the_start(stamps, start, found):
    assert times(stamps, start) == pytest.approx(found)


def test_formats_whose_time_stamps_start_again_may_not_go_far_ahead():
    assert times([0, 0.1, 500, 500.1], ahead=AHEAD) == pytest.approx([0, 0.1, 0.2, 0.3])


def test_two_films_in_one_stream_are_shown_one_after_the_other(tmp_path):
    parts = [make_film(tmp_path / f"{name}.ts", codec="mpeg4") for name in "ab"]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = [frame.time for frame in Video(str(joined)).frames()]
    assert len(found) == 40 and found[0] < 0.2
    assert all(0 < after - before < 0.2 for before, after in itertools.pairwise(found))


def test_a_film_with_sound_that_ends_early_says_so(tmp_path):
    whole = make_film(tmp_path / "a.mkv", [Fraction(n, 10) for n in range(40)], sounds=[("aac", "eng")], codec="mpeg4")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert list((video := Video(str(whole))).frames()) and not video.faults
    assert list((video := Video(str(cut))).frames()) and "ends early, " in video.faults[0]


def test_a_film_whose_pictures_begin_late_is_whole(tmp_path):
    late = [5 + Fraction(n, 10) for n in range(20)]
    path = make_film(tmp_path / "late.mkv", late, sounds=[("aac", "eng")], codec="mpeg4")
    video = Video(str(path))
    assert len(list(video.frames())) == 20 and not video.faults


def test_frames_without_times_have_those_of_their_rate(tmp_path):
    path = tmp_path / "raw.h264"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
    found = [frame.time for frame in Video(str(path)).frames()]
    steps = {round(after - before, 3) for before, after in itertools.pairwise(found)}
    assert len(found) == 6 and steps <= {0.1, 0.04}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
def test_frames_that_were_read_leave_the_memory(tmp_path):
    path = make_film(tmp_path / "a.mkv", [Fraction(n, 10) for n in range(120)], size=(480, 640), codec="mpeg4")
    sizes = [resident() for _ in Video(str(path)).frames()]
    assert max(sizes[40:]) < sizes[40] + 15  # 80 frames of 0.46 MB in YUV are 37


def resident():
    """MiB of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
