"""Training while the next batch is read: the same bits, one reader of the data at a time, and no thread left."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch

from arena_help import DATA, train_run
from argus_arena.distributed import Distributed
from argus_arena.requests import CacheRequest
from argus_arena.run.batches import FitBatches, Order, TrainingData
from argus_arena.tools.cache import build_cache
from argus_arena.training.learner import Learner
from argus_core.cache import Cache, CacheSource
from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.tasks.segment import Segment
from argus_data.scenes.split import SceneSplit, open_scenes

HEADS = ("segment.linear", "classify.linear", "classify.knn")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    out = tmp_path_factory.mktemp("ahead") / "cache"
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", canvas="64", views=("id", "hflip"), cls=True))
    return out


def train(cache, out, heads=HEADS, **more):
    given = {"heads": heads, "data": DATA, "cache": str(cache), "device": "cpu", **more}
    rows = train_run(given, {"epochs": 2, "batch": 4}, out)
    return {name: (row["weights_sha256"], row["metrics"]) for name, row in rows.items()}


def readers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.fixture(scope="module")
def in_turn(cache, tmp_path_factory):
    """Weights and metrics of a run that reads nothing ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGUS_DEBUG", "1")
        return train(cache, tmp_path_factory.mktemp("ahead") / "run", eval_every=0.5)


def test_the_bits_are_those_of_reading_in_turn(cache, in_turn, tmp_path, monkeypatch):
    asking, truth = set(), SceneSplit.truth

    def noted(self, sample, task):
        asking.add(threading.current_thread() is threading.main_thread())
        return truth(self, sample, task)

    monkeypatch.setattr(SceneSplit, "truth", noted)
    assert train(cache, tmp_path / "run", eval_every=0.5) == in_turn
    assert asking == {True, False}  # scoring and training
    assert not readers()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_bits_are_those_of_workers(cache, in_turn, tmp_path):
    assert train(cache, tmp_path / "run", eval_every=0.5, workers=2) == in_turn


def test_the_data_are_asked_by_one_thread_at_a_time(cache, tmp_path, monkeypatch):
    """Reading takes longer than a step, so it goes on when an evaluation is due."""
    inside, batch, truth = [0], TrainingData.batch, SceneSplit.truth

    def slowly(self, items, tasks):
        inside[0] += 1
        time.sleep(0.05)
        found = batch(self, items, tasks)
        inside[0] -= 1
        return found

    def alone(self, sample, task):
        assert threading.current_thread() is not threading.main_thread() or not inside[0]
        return truth(self, sample, task)

    monkeypatch.setattr(TrainingData, "batch", slowly)
    monkeypatch.setattr(SceneSplit, "truth", alone)
    assert train(cache, tmp_path / "run", HEADS[:1], eval_every=0.2)


@pytest.mark.parametrize("broken", ["truth", "target"])
def test_an_error_ends_the_run_at_the_step_that_it_belongs_to(cache, tmp_path, monkeypatch, broken):
    """The third batch is read while the second one is learned from."""
    asked, stepped, step = [0], [], Learner.step
    owner = {"truth": SceneSplit, "target": Segment}[broken]
    whole = getattr(owner, broken)

    def failing(self, *given):
        if threading.current_thread() is not threading.main_thread():
            asked[0] += 1
            if asked[0] == 9:
                raise ArgusError("mask 9 is torn; make it again")
        return whole(self, *given)

    def counted(self, at, tokens, targets):
        stepped.append(at)
        return step(self, at, tokens, targets)

    monkeypatch.setattr(owner, broken, failing)
    monkeypatch.setattr(Learner, "step", counted)
    with pytest.raises(ArgusError, match="mask 9 is torn; make it again"):
        train(cache, tmp_path / "run", HEADS[:1])
    assert stepped == [0, 1] and not readers()


@pytest.mark.parametrize("at", (1, 6))
def test_after_ctrl_c_the_run_goes_on_with_the_same_bits(cache, in_turn, tmp_path, monkeypatch, at):
    step = Learner.step

    def pressed(self, now, tokens, targets):
        if now == at:
            signal.raise_signal(signal.SIGINT)
        return step(self, now, tokens, targets)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Learner, "step", pressed)
        train(cache, tmp_path / "run", eval_every=0.5)
    assert not readers()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in log) <= at + 1
    assert train(cache, tmp_path / "run", eval_every=0.5) == in_turn


def test_ctrl_c_does_not_end_the_processes_that_read(cache, in_turn, tmp_path, monkeypatch):
    step = Learner.step

    def pressed(self, now, tokens, targets):
        if now == 1:  # a terminal interrupts all its processes, and this one may wait for a batch of theirs
            for process in multiprocessing.active_children():
                os.kill(process.pid, signal.SIGINT)
            time.sleep(0.5)
        return step(self, now, tokens, targets)

    monkeypatch.setattr(Learner, "step", pressed)
    assert train(cache, tmp_path / "run", eval_every=0.5, workers=2) == in_turn


def test_no_thread_is_left_when_all_heads_failed(cache, tmp_path, monkeypatch):
    def diverging(self, at, tokens, targets):
        self.fail("the loss became nan")
        return {}

    monkeypatch.setattr(Learner, "step", diverging)
    with contextlib.suppress(ArgusError):
        train(cache, tmp_path / "run", HEADS[:2])
    assert not readers()


def test_images_are_fitted_on_in_order_however_often_they_are_gone_through_at_once(cache):
    source = CacheSource(Cache.open(cache / "train"), reuse=2)
    split = open_scenes(images=20, val=6, size=64)["train"]
    data = TrainingData(source, split, Order(tuple(range(20)), ("id",), 4, 0))
    head = build_head("segment.linear", source.info, split.tasks["segment"])
    batches = FitBatches(data, head, 4, Distributed(0, 1, torch.device("cpu")))
    plain = CacheSource(Cache.open(cache / "train"))
    expected = [plain.read([(n, "id") for n in range(start, start + 4)]).tokens for start in range(0, 20, 4)]
    outer = 0
    for left, _ in batches:
        for inner, (right, targets) in enumerate(batches):
            assert right.map.equal(expected[inner].features(head.needs).map) and len(targets) == 4
        assert left.map.equal(expected[outer].features(head.needs).map)
        outer += 1
    assert outer == 5 and not readers()
