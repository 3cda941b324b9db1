"""``--track``: ids in every file, one tracker for each film, and clear words where there is nothing to follow."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from argus_core import Argus, Canvas, Depth, Detect, build_head, load_backbone
from argus_core.cli.commands import app
from argus_core.track.tracker import LOW
from argus_data.procedural.film_file import write_film
from argus_data.procedural.films import Film
from bundle_help import shaken

pytest.importorskip("av")


@pytest.fixture(scope="module")
def argus():
    torch.manual_seed(0)
    backbone = load_backbone("tiny")
    things = build_head("detect.fcos", backbone.info, Detect(classes=("cat", "dog")), {"width": 16, "depth": 1})
    metres = build_head("depth.linear", backbone.info, Depth(), {"bins": 8})
    with torch.no_grad():
        shaken(things).towers.classifier.bias += 2  # scores on both sides of the threshold
    return Argus(backbone, {"things": things, "metres": shaken(metres)}, Canvas(64))


@pytest.fixture(scope="module")
def model(argus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    argus.save(folder)
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "walk.mp4"
    write_film(Film(1, size=(64, 96), seconds=0.75, rate=8), path)
    return path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_ids_are_in_every_file_and_vectors_are_not(model, film, tmp_path):
    out = tmp_path / "out"
    done = run("perceive", film, "--model", model, "--track", "--threshold", 0.3, "--save", "parquet", "--out", out)
    assert done.exit_code == 0, done.output
    found = [entry for line in lines(out) for entry in line["things"]]
    ids = [entry["track_id"] for entry in found]
    named = sorted({id for id in ids if id is not None})
    assert named == list(range(1, len(named) + 1)) and len(named) > 0
    assert f"things: {len(named)} identit" in done.output and "in " + str(film) in done.output
    assert not any("embedding" in entry for entry in found) and not any("embedding" in line for line in lines(out))
    assert [entry["track_id"] for entry in json.loads((out / "things/detections.json").read_text())] == ids
    table = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
    assert [row["track_id"] for row in table if row["head"] == "things"] == ids
    assert {row["track_id"] for row in table if row["head"] == "metres"} == {None}
    assert (out / "walk.mp4").is_file()


def test_only_identities_may_have_scores_below_the_threshold(model, film, tmp_path):
    plain, tracked = tmp_path / "plain", tmp_path / "tracked"
    assert run("detect", film, "--model", model, "--out", plain).exit_code == 0
    assert run("detect", film, "--model", model, "--out", tracked, "--track").exit_code == 0
    for line, same in zip(lines(tracked), lines(plain), strict=True):
        sure = [entry["box"] for entry in line["things"] if entry["score"] >= 0.3]
        assert sure == [entry["box"] for entry in same["things"]]
        assert all(entry["track_id"] and entry["score"] >= LOW for entry in line["things"] if entry["score"] < 0.3)


def test_embeddings_are_written_if_asked_for(model, film, tmp_path):
    done = run("detect", film, "--model", model, "--track", "--embeddings", "--limit", 2, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    entries = [entry for line in lines(tmp_path / "out") for entry in line["things"]]
    assert entries and all(np.linalg.norm(entry["embedding"]) == pytest.approx(1, abs=1e-3) for entry in entries)


def test_films_have_trackers_of_their_own_and_photographs_none(model, film, tmp_path):
    again, photograph = tmp_path / "again.mp4", tmp_path / "still.png"
    again.write_bytes(film.read_bytes())
    Image.fromarray(Film(1, size=(64, 96))[0].image).save(photograph)
    out = tmp_path / "out"
    done = run("detect", film, photograph, again, "--model", model, "--track", "--batch", 1, "--out", out)
    assert done.exit_code == 0, done.output
    by_film = {}
    for line in lines(out):
        by_film.setdefault(line["file_name"], []).append(line["things"])
    assert by_film[str(film)] == by_film[str(again)]
    (still,) = by_film[str(photograph)]
    assert still and not any("track_id" in entry or "embedding" in entry for entry in still)
    assert all(entry["score"] >= 0.3 for entry in still)
    assert done.output.count("identit") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["still.png", "--track"], "none of the inputs is a film"),
        (["walk.mp4", "--track", "--tasks", "depth"], "no head here detects any (metres)"),
    ],
)
def test_nothing_to_follow_is_said(model, film, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save("still.png")
    (tmp_path / "walk.mp4").write_bytes(film.read_bytes())
    done = run("perceive", *words, "--model", model, "--out", "out")
    assert said in str(done.exception) and not (tmp_path / "out/results.jsonl").exists()


def test_watch_gives_ids(argus, film):
    frames = list(argus.watch(film, tasks=["detect"], track=True))
    tracks = [frame.perception["detections"].tracks for frame in frames]
    assert all(len(found) == len(frame.perception["detections"]) for found, frame in zip(tracks, frames, strict=True))
    assert max(found.max(initial=0) for found in tracks) > 0
    assert frames[0].perception["detections"].embeddings is None
    (frame,) = argus.watch(film, limit=1, track=True, embeddings=True)
    assert len(frame.perception["detections"].embeddings) == len(frame.perception["detections"])
    assert all(frame.perception["detections"].tracks is None for frame in argus.watch(film, limit=1))
