"""Films that are written: frames at their own times, upright and in colour, with the sound of their source."""

from __future__ import annotations

import resource
from fractions import Fraction

import numpy as np
import pytest

from argus_core.errors import ArgusError
from argus_core.video import write
from argus_core.video.read import Video
from argus_core.video.source import prospect
from argus_core.video.write import FilmWriter
from film_help import av, content, make_film, picture

UNEVEN = [Fraction(n, 1000) for n in (0, 40, 45, 200, 233, 1000, 1500, 1501, 1700)]


def rewritten(source, path, every=1, limit=None):
    """A film of the frames of another, and the frames."""
    writer = FilmWriter(path.with_suffix(".part"), prospect(str(source)).rate, str(source))
    frames = list(Video(str(source)).frames(every))[:limit]
    for frame in frames:
        writer.write(frame.image, frame.time)
    writer.close(path, whole=limit is None)
    assert not path.with_suffix(".part").exists()
    return content(path), frames


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("every", [1, 3])
def test_frames_keep_their_times_however_uneven(tmp_path, suffix, every):
    source = make_film(tmp_path / f"a.{suffix}", UNEVEN)
    film, frames = rewritten(source, tmp_path / "b.mp4", every)
    assert [frame.number for frame in frames] == list(range(0, len(UNEVEN), every))
    assert [frame.time for frame in frames] == [float(time) for time in UNEVEN[::every]]
    assert film.times == pytest.approx([frame.time for frame in frames], abs=2e-5)
    for image, frame in zip(film.images, frames, strict=True):
        assert np.abs(image.astype(int) - frame.image).mean() < 4


def test_the_file_plays_everywhere(tmp_path):
    film, frames = rewritten(make_film(tmp_path / "a.mkv"), tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    assert (film.codec, film.pixels, film.size) == ("h264", "yuv420p", (48, 64))
    assert film.shape in (None, 1) and data.index(b"moov") < data.index(b"mdat")
    assert film.seconds == pytest.approx(20 / 25, abs=0.001)
    red = np.median([image[:, -1].mean(axis=0) for image in film.images], axis=0)
    assert np.abs(red - frames[0].image[:, -1].mean(axis=0)).max() < 4  # a wrong matrix is off by 10 or more


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [
        ("mp4", "aac", "aac"),
        ("mkv", "aac", "aac"),
        ("ts", "aac", "aac"),
        ("mkv", "flac", "flac"),
        ("avi", "libmp3lame", "mp3float"),
    ],
)
def test_sound_is_copied_sample_by_sample(tmp_path, suffix, codec, name):
    if codec == "libmp3lame" and int(av.__version__.split(".")[0]) < 15:
        pytest.skip("this PyAV copies no MP3")
    source = make_film(tmp_path / f"a.{suffix}", sounds=[(codec, "eng")])
    film, _ = rewritten(source, tmp_path / "b.mp4")
    before = content(source)
    (codec, language, start, sound), (*_, began, original) = film.sounds[0], before.sounds[0]
    assert codec == name and language in ("eng", "und") and np.array_equal(sound, original) and len(sound) > 30000
    assert start - film.times[0] == pytest.approx(began - before.times[0], abs=0.0015)  # in step with the pictures


def test_sound_that_players_refuse_is_converted_and_stays_in_step(tmp_path):
    source = make_film(tmp_path / "a.mkv", sounds=[("pcm_s16le", "eng")])
    ((codec, _, start, sound),) = rewritten(source, tmp_path / "b.mp4")[0].sounds
    original = content(source).sounds[0][3] / 32768
    shared = min(len(sound), len(original))
    assert codec == "aac" and start == pytest.approx(0, abs=0.001) and abs(len(sound) - len(original)) <= 1024
    assert np.corrcoef(sound[2000 : shared - 2000], original[2000 : shared - 2000])[0, 1] > 0.99


def test_every_sound_is_kept_with_its_language(tmp_path):
    source = make_film(tmp_path / "a.mkv", sounds=[("aac", "deu"), ("pcm_s16le", "fra"), ("aac", "eng")])
    film, _ = rewritten(source, tmp_path / "b.mp4")
    assert [sound[:2] for sound in film.sounds] == [("aac", "deu"), ("aac", "fra"), ("aac", "eng")]
    pitches = [np.abs(np.fft.rfft(sound[3][4096:20480])).argmax() * 48000 / 16384 for sound in film.sounds]
    assert pitches == pytest.approx([440, 880, 1320], abs=5)


def test_sound_ends_with_a_film_that_stops_early_and_else_goes_on(tmp_path):
    source = make_film(tmp_path / "a.mp4", sounds=[("aac", "eng")], seconds=3)
    for limit, seconds in ((10, 0.4), (None, 3.0)):
        film, _ = rewritten(source, tmp_path / f"{limit}.mp4", limit=limit)
        assert len(film.sounds[0][3]) / 48000 == pytest.approx(seconds, abs=0.05)


def test_without_an_encoder_of_h264_there_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "ENCODERS", {"no such": {}, "mpeg4": write.ENCODERS["mpeg4"]})
    film, _ = rewritten(make_film(tmp_path / "a.mkv", UNEVEN), tmp_path / "b.mp4")
    assert film.codec == "mpeg4" and film.times == pytest.approx([float(time) for time in UNEVEN], abs=2e-5)
    monkeypatch.setattr(write, "ENCODERS", {"no such": {}})
    with pytest.raises(ArgusError, match="--no-pictures"):
        rewritten(tmp_path / "a.mkv", tmp_path / "c.mp4")


def test_a_full_disk_is_one_sentence_and_leaves_no_film(tmp_path):
    source = make_film(tmp_path / "a.mp4", sounds=[("aac", "eng")])
    frames = list(Video(str(source)).frames())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = FilmWriter(tmp_path / "b.part", sound_of=str(source))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
        with pytest.raises(ArgusError, match=r"b\.part cannot be written: File too large"):
            for frame in frames:
                writer.write(frame.image, frame.time)
            writer.close(tmp_path / "b.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_times_that_stand_still_become_a_tick_apart(tmp_path):
    writer = FilmWriter(tmp_path / "b.part")
    for number, time in enumerate((0.0, 0.0, 0.0, 1.0)):
        writer.write(picture(number), time)
    writer.close(tmp_path / "b.mp4")
    assert content(tmp_path / "b.mp4").times == pytest.approx([0, 1 / 60000, 2 / 60000, 1], abs=1e-6)
