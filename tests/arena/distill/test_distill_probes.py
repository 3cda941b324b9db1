"""Probes while a stage trains: whose scores, when, where they are told, and that they change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from distill_help import small_recipe, weights

from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.probes import Probe
from argus_arena.distill.recipe import ProbeSource
from argus_arena.distill.run import distill
from argus_arena.distributed import join_processes
from argus_arena.requests import CacheRequest, RunRequest
from argus_arena.tools.cache import build_cache
from argus_arena.training.train import train_run
from argus_core import load_backbone
from argus_core.common.architecture import read_provenance
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import Plugins, load_plugins

SCENES = "scenes:images=12,val=6,size=64"
PROBES = {"probes__scenes": {"data": SCENES, "heads": ["depth.ridge", "segment.ridge"], "size": 64, "every": 2}}


def run(folder: Path, out: str, **settings: Any) -> Path:
    """The first stage, of five steps."""
    return distill(small_recipe(folder, **settings), folder / out, only="proxy", device="cpu")


def lines(backbone: Path) -> list[dict[str, Any]]:
    """The log."""
    return [json.loads(line) for line in (backbone.parent / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a stage was probed, and one was not."""
    folder = tmp_path_factory.mktemp("probed")
    run(folder, "with", **PROBES)
    run(folder, "without")
    return folder


def test_probes_change_nothing(probed):
    assert weights(probed / "with" / "proxy" / "backbone") == weights(probed / "without" / "proxy" / "backbone")


def test_students_and_teachers_scores_are_in_log_and_provenance(probed):
    result = probed / "with" / "proxy" / "backbone"
    told = [(line["step"], line["weights"]) for line in lines(result) if "eval" in line]
    assert told == [(0, "teacher wide"), (0, "teacher wider"), *((step, "live") for step in (0, 2, 4, 5))]
    scores = read_provenance(result)["scores"]
    assert scores["student"] == lines(result)[-1]["eval"]
    assert set(scores) == {"student", "wide", "wider"}
    assert set(scores["wide"]) == {"scenes ridge abs_rel", "scenes ridge mIoU"}
    assert scores["wide"] == scores["wider"] != scores["student"]
    assert not (result.parent / "probe").exists()
    assert "scores" not in read_provenance(probed / "without" / "proxy" / "backbone")


def test_a_score_is_the_one_of_a_run_of_the_arena(tmp_path):
    with join_processes("cpu") as process:
        probe = Probe("scenes", ProbeSource(data=SCENES, heads=("depth.ridge",), size=64), load_plugins())
        scores = probe.score(load_backbone("tiny"), process, tmp_path / "probe")
    cache, layers = tmp_path / "cache", (5, 8, 11)
    request = CacheRequest(data=SCENES, out=cache, backbone="tiny", canvas="64", fit="stretch", layers=layers)
    build_cache(request)
    settings = {"layers": list(layers)}
    run = RunRequest(heads=("depth.ridge",), data=SCENES, cache=cache, settings=settings)
    (row,) = train_run(run, tmp_path / "run").values()
    assert scores["scenes ridge abs_rel"] == pytest.approx(row["metrics"]["abs_rel"], rel=1e-6)


def test_teachers_are_scored_once_and_a_crash_changes_nothing(probed, tmp_path, monkeypatch):
    learn, score = StudentTrial.learn, Probe.score
    names: list[str] = []

    def crashing(self, step, parts, count):
        if step == 3:
            raise RuntimeError("power cut")
        return learn(self, step, parts, count)

    def counting(self, backbone, process, folder):
        names.append(backbone.name)
        return score(self, backbone, process, folder)

    monkeypatch.setattr(StudentTrial, "learn", crashing)
    monkeypatch.setattr(Probe, "score", counting)
    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, "cut", **PROBES, stages__proxy__save_every=2)
    monkeypatch.setattr(StudentTrial, "learn", learn)
    result = run(tmp_path, "cut", **PROBES, stages__proxy__save_every=2)
    assert names.count("tiny") == 2
    assert lines(result) == lines(probed / "with" / "proxy" / "backbone")


def test_trackers_are_told(tmp_path, monkeypatch):
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(Plugins, "tell", lambda self, event, **values: told.append((event, values)))
    result = run(tmp_path, "run", **PROBES)
    events = [event for event, _ in told]
    assert (events[0], events[-1]) == ("arena_started", "arena_finished")
    assert told[0][1]["config"]["heads"]["student"]["recipe"]["lr"] == 1e-3
    assert [values["record"] for event, values in told if event == "arena_logged"] == lines(result)
    assert told[-1][1]["results"]["student"]["metrics"] == lines(result)[-1]["eval"]


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ({"data": "nowhere:x"}, "unknown data set 'nowhere'"),
        ({"data": SCENES, "heads": ["correspond.match"]}, "no annotations for 'correspond'"),
        ({"data": SCENES, "heads": ["depth.linear"]}, "trained by gradients.*depth.ridge"),
        ({"data": SCENES, "split": "test"}, "unknown split 'test'"),
        ({"data": SCENES, "size": 0}, r"probes\.scenes\.size"),
    ],
)
def test_probes_that_cannot_be_taken_are_told(tmp_path, probe, message):
    with pytest.raises(ArgusError, match=message):
        run(tmp_path, "run", probes__scenes=probe)
