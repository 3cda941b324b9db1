"""Rows of runs and of `arena eval` keep contributions that give every score, in one process or several."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from arena_help import DATA, settings, small_cache, train_run
from argus_arena.distributed import Distributed
from argus_arena.leaderboard.standings import rankings, read_rows
from argus_arena.leaderboard.verdict import judge
from argus_arena.requests import EvalRequest
from argus_arena.scoring.contributions import keep_contributions
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_arena.tools.rescore import evaluate_run
from argus_core.backbones.live import FramedSource
from argus_core.canvas import Canvas
from argus_core.common.files import file_sha256
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.saving.contributions import contributions_path, read_contributions, write_contributions
from argus_core.tasks.detect import Detect, Detections
from argus_core.tokens import Needs
from cache_fakes import FakeBackbone, FakeSplit
from significance_help import TASK, accuracy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    given = {"heads": ("closed_form", "prior=detect.fcos"), "data": DATA, "cache": str(small_cache(folder / "cache"))}
    more = {"prior.width": 32, "prior.depth": 1, "epochs": 1}
    train_run(given, settings(**more), folder / "run")
    return folder / "run"


def scores(row, path):
    """Every score of a row, from its contributions."""
    kept = row["contributions"]
    metric, found = read_contributions(path.with_name(kept["file"]), kept["sha256"])
    assert len(found) == kept["samples"] == row["data"]["val"]["images"]
    assert path.with_name(kept["file"]).stat().st_size == kept["bytes"] < 100_000
    once = np.ones((1, len(found)), dtype=int)
    return {name: float(metric.rescore(found, name)(once)[0]) for name in row["metrics"]}


def test_the_row_of_a_run_names_contributions_that_give_its_scores(run):
    for name in ("closed_form", "prior"):
        path = run / name / "result.json"
        row = json.loads(path.read_text())
        expected = {key: np.nan if value is None else value for key, value in row["metrics"].items()}
        assert scores(row, path) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    (entries,) = rankings(read_rows([run])).values()
    assert judge(entries).known


def test_so_does_a_row_of_another_split(run):
    rows = evaluate_run(EvalRequest(run=run, split="train", device="cpu"))
    (path,) = (run / "prior/scores").glob("*.json")
    row = json.loads(path.read_text())
    assert row["contributions"] == rows["prior"]["contributions"]
    assert scores(row, path)["AP"] == pytest.approx(row["metrics"]["AP"], abs=1e-12)


class Boxed(FakeSplit):
    """Images with one box each, of a place that depends on the image."""

    tasks = {"detect": Detect(classes=("a", "b"))}  # noqa: RUF012

    def samples(self, task):
        return [(index,) for index in range(len(self))]

    def truth(self, sample, task):
        from argus_core.tasks.detect import Boxes

        box = np.array([[4.0, 4.0, 20.0 + sample, 30.0]])
        return Boxes(box, np.array([sample % 2]), np.zeros(1, dtype=bool), np.array([100.0]))


class Fixed(Head):
    """The same boxes for every image."""

    solves, needs = Detect, Needs()

    def forward(self, features):
        return features.map.mean((1, 2, 3))

    def decode(self, output, canvas):
        boxes = torch.tensor([[4.0, 4.0, 24.0, 30.0], [0.0, 0.0, 9.0, 9.0]])
        return [Detections(boxes, torch.tensor([0.5, 0.4]) + one.sigmoid() / 4, torch.tensor([0, 1])) for one in output]


class Part(Distributed):
    """One of several processes, which says what it would send to the others."""

    def gather(self, value):
        Part.sent.append(value)
        return [value]


def test_several_processes_keep_what_one_keeps():
    split = Boxed(7)
    scoring = Scoring(FramedSource(FakeBackbone(), split, Canvas(64), Needs()), split)
    heads = {"fixed": Fixed(FakeBackbone().info, split.tasks["detect"])}
    alone = evaluate(heads, scoring, Distributed(0, 1, torch.device("cpu")), 4, lambda *_: None)["fixed"]
    Part.sent = []
    for rank in range(3):
        evaluate(heads, scoring, Part(rank, 3, torch.device("cpu")), 4, lambda *_: None)
    merged = scoring.metric(split.tasks["detect"])
    merged.merge(Part.sent)
    one, other = alone.contributions(), merged.contributions()
    assert one.keys == other.keys and len(one) == 7
    assert all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)


class Without(type(accuracy([]))):
    """A metric of somebody else, which keeps nothing."""

    def contributions(self):
        return None


class Broken(Without):
    def contributions(self):
        raise ValueError("no idea")


def scoring_of(task):
    split = FakeSplit(1)
    split.tasks = {task.name: task}
    return Scoring(FramedSource(FakeBackbone(), split, Canvas(64), Needs()), split)


@pytest.mark.parametrize(("kind", "words"), [(Without, ""), (Broken, "ValueError: no idea")])
def test_a_metric_without_contributions_leaves_the_row_without(tmp_path, capsys, kind, words, monkeypatch):
    monkeypatch.delenv("ARGUS_DEBUG", raising=False)
    row = tmp_path / "result.json"
    contributions_path(row).write_bytes(b"of earlier weights")
    assert keep_contributions(row, kind(TASK.classes), TASK, scoring_of(TASK)) is None
    assert not list(tmp_path.iterdir())
    assert words in capsys.readouterr().err


def test_the_same_contributions_are_the_same_bytes(tmp_path):
    kept = accuracy([True, False, True]).contributions()
    first = write_contributions(tmp_path / "a.json", kept, TASK, {}, "accuracy-1")
    second = write_contributions(tmp_path / "b.json", kept, TASK, {}, "accuracy-1")
    assert first["sha256"] == second["sha256"] == file_sha256(tmp_path / first["file"])


def test_any_other_file_is_refused(tmp_path):
    file = tmp_path / "x.contributions.safetensors"
    file.write_bytes(b"nothing")
    with pytest.raises(ArgusError, match=r"x\.contributions\.safetensors cannot be read"):
        read_contributions(file, file_sha256(file))
    with pytest.raises(ArgusError, match="not the file that the row names"):
        read_contributions(file, "0" * 64)
