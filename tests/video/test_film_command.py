"""``argus perceive`` and its like on films: one annotated film each, and frames with times in every file."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from argus_core import Argus, ArgusError, Canvas, Classify, Depth, Detect, Segment, build_head, load_backbone
from argus_core.cli import film as films
from argus_core.cli.commands import app
from argus_core.video import sound
from argus_core.video.write import FilmWriter
from bundle_help import shaken
from film_help import content, make_film

TASKS = {
    "kinds": ("classify.linear", Classify(classes=("cat", "dog")), {}),
    "masks": ("segment.linear", Segment(classes=("wall", "floor")), {}),
    "metres": ("depth.linear", Depth(), {"bins": 8}),
    "things": ("detect.fcos", Detect(classes=("cat", "dog")), {"width": 16, "depth": 1}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    backbone = load_backbone("tiny")
    heads = {name: shaken(build_head(kind, backbone.info, task, o)) for name, (kind, task, o) in TASKS.items()}
    folder = tmp_path_factory.mktemp("model")
    Argus(backbone, heads, Canvas(64)).save(folder)
    return folder


def run(command, *inputs, model, out, **options):
    flags = [text for name, value in options.items() for text in (f"--{name}", *(() if value is True else (value,)))]
    return CliRunner().invoke(app, [str(one) for one in (command, *inputs, "--model", model, "--out", out, *flags)])


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def names(out, pattern="*"):
    return sorted(path.relative_to(out).as_posix() for path in out.glob(pattern) if path.is_file())


def test_a_film_of_all_answers_with_sound_and_times_everywhere(model, tmp_path):
    source, out = make_film(tmp_path / "walk.mkv", sounds=[("aac", "eng")]), tmp_path / "out"
    done = run("perceive", source, model=model, out=out, every=3, save="parquet", threshold=0)
    assert done.exit_code == 0, done.output
    film, rows = content(out / "walk.mp4"), lines(out)
    times = [number / 25 for number in range(0, 20, 3)]
    assert film.times == pytest.approx(times, abs=2e-5) and len(film.sounds) == 1
    assert [row["frame"] for row in rows] == list(range(0, 20, 3)) and [row["time"] for row in rows] == times
    table = pyarrow.parquet.read_table(out / "results.parquet")
    assert set(table.column("time").to_pylist()) == set(times)
    assert names(out, "*.png") == [] and len(names(out, "masks/*.png")) == 7
    assert names(out, "*.mp4") == ["walk.mp4"] and "film: " in done.output and "with sound" in done.output
    assert film.size[0] % 2 == film.size[1] % 2 == 0 and "7 images, 4 heads" in done.output


@pytest.mark.parametrize("command", ["classify", "segment", "depth", "detect"])
def test_one_task_gives_a_film_too(model, tmp_path, command):
    done = run(command, make_film(tmp_path / "a.mp4"), model=model, out=tmp_path / "out", limit=3)
    assert done.exit_code == 0, done.output
    assert len(content(tmp_path / "out/a.mp4").times) == 3 == len(lines(tmp_path / "out"))
    assert not names(tmp_path / "out", "*/pictures/*")


def test_films_and_photographs_in_one_call(model, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_film(tmp_path / name / "clip.mp4", codec="mpeg4", size=(50, 34) if name == "b" else (48, 64))
    photo = tmp_path / "clip.png"
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(photo)
    out = tmp_path / "out"
    done = run("perceive", tmp_path / "a/clip.mp4", photo, tmp_path / "b/clip.mp4", model=model, out=out, every=7)
    assert done.exit_code == 0, done.output
    assert names(out, "*.mp4") == ["clip-2.mp4", "clip.mp4"] and names(out, "*.png") == ["clip-1.png"]
    assert [row.get("frame") for row in lines(out)] == [0, 7, 14, None, 0, 7, 14]
    assert "frame" not in lines(out)[3] and "time" not in lines(out)[3]
    run("perceive", tmp_path / "a/clip.mp4", model=model, out=out, every=7)
    assert names(out, "*.mp4") == ["clip.mp4"]  # the film of the earlier run is gone


def test_pictures_of_each_answer_and_none_at_all(model, tmp_path):
    source = make_film(tmp_path / "a.mp4")
    run("perceive", source, model=model, out=tmp_path / "each", limit=2, each=True)
    assert len(names(tmp_path / "each", "*/pictures/*.jpg")) == 8
    done = run("perceive", source, model=model, out=tmp_path / "none", limit=2, **{"no-pictures": True})
    assert done.exit_code == 0 and not names(tmp_path / "none", "*.mp4") and len(lines(tmp_path / "none")) == 2


def test_a_film_is_never_written_over_itself(model, tmp_path):
    source = make_film(tmp_path / "a.mp4")
    (tmp_path / "argus-files.txt").write_text("a.mp4\n")  # as if an earlier run had written it
    before = source.read_bytes()
    done = run("perceive", source, model=model, out=tmp_path, limit=2)
    assert isinstance(done.exception, ArgusError) and "choose another --out" in str(done.exception)
    assert source.read_bytes() == before and names(tmp_path, ".*") == []


def test_damage_is_told_and_what_can_be_seen_is_written(model, tmp_path):
    good, empty = make_film(tmp_path / "good.mp4"), tmp_path / "empty.mp4"
    empty.touch()
    cut = tmp_path / "cut.mkv"
    whole = make_film(tmp_path / "whole.mkv", codec="mpeg4", times=[n / 10 for n in range(40)], rate=10)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    out = tmp_path / "out"
    done = run("classify", empty, cut, good, model=model, out=out)
    assert done.exit_code == 1 and "it is empty" in done.output and "ends early" in done.output
    assert names(out, "*.mp4") == ["cut.mp4", "good.mp4"]
    frames = [row["file_name"] for row in lines(out)]
    for name in ("cut", "good"):
        assert len(content(out / f"{name}.mp4").times) == frames.count(
            str(tmp_path / name) + {"cut": ".mkv"}.get(name, ".mp4")
        )


def interrupted(monkeypatch, error, after=2):
    """Let the answers about all batches after some fail."""
    answer, calls = Argus.answer, []

    def answered(self, *args, **options):
        calls.append(1)
        if len(calls) > after:
            raise error
        return answer(self, *args, **options)

    monkeypatch.setattr(Argus, "answer", answered)


@pytest.mark.parametrize(
    ("stored", "error", "film"),
    [
        (True, KeyboardInterrupt(), "a-unfinished.mp4"),
        (False, KeyboardInterrupt(), "a.mp4"),
        (True, MemoryError(), "a-unfinished.mp4"),
    ],
)
def test_a_run_that_ends_early_leaves_what_it_saw_under_another_name(model, tmp_path, monkeypatch, stored, error, film):
    interrupted(monkeypatch, error)
    for module in (films, sound):
        monkeypatch.setattr(module, "is_stored", lambda address: stored)
    source, out = make_film(tmp_path / "a.mp4", sounds=[("aac", "eng")]), tmp_path / "out"
    done = run("classify", source, model=model, out=out, batch=4)
    assert done.exit_code != 0 and names(out, "*.mp4") == [film] and names(out, ".*") == []
    assert len(lines(out)) == 8 == len(content(out / film).times)
    heard = [len(samples) / 48000 for *_, samples in content(out / film).sounds]
    assert heard == pytest.approx([8 / 25] if stored else [], abs=0.05)
    if isinstance(error, KeyboardInterrupt):
        assert "8 images" in done.output and film in done.output


@pytest.mark.parametrize("frames", [0, 5])
def test_a_disk_that_is_full_takes_no_answer_away(model, tmp_path, monkeypatch, frames):
    write = FilmWriter.write

    def full(self, picture, time):
        if self.frames == frames:
            raise ArgusError(f"{self.part} cannot be written: No space left on device")
        write(self, picture, time)

    monkeypatch.setattr(FilmWriter, "write", full)
    monkeypatch.setattr(FilmWriter, "close", lambda *_, **__: (_ for _ in ()).throw(ArgusError("no space left")))
    out = tmp_path / "out"
    done = run("classify", make_film(tmp_path / "a.mp4"), model=model, out=out, batch=4)
    assert isinstance(done.exception, ArgusError) and "No space left" in str(done.exception)
    assert len(lines(out)) == frames + 1 and not names(out, "*.mp4") and not names(out, ".*")
