"""Many heads, several seeds: grouped by memory, restartable, and none stops another."""

from __future__ import annotations

import json
import re

import pytest
import torch

from arena_help import DATA, small_cache
from argus_arena.comparison.compare import compare_heads
from argus_arena.comparison.grouping import group
from argus_arena.comparison.reproduce import differences, reproduce
from argus_arena.requests import Comparison, make_request
from argus_arena.scoring.cost import Memory, image_cost, training_memory
from argus_core import HEADS, ArgusError, Detect, FeatureInfo, build_head
from argus_core.saving.checkpoint import read_tensors
from argus_heads.fcos_detect import FCOS

SETTINGS = {"batch": 4, "epochs": 2, "width": 16, "depth": 1}


class Cracked(FCOS):
    """Trains for two steps, then raises."""

    steps = 0

    def loss(self, output, targets):
        type(self).steps += self.training
        if type(self).steps > 3:  # one of them is the trial step
            raise ValueError("something gave way")
        return super().loss(output, targets)


class Mute(FCOS):
    """Cannot say what it found."""

    def decode(self, output, canvas):
        raise ValueError("no words")


class Stillborn(FCOS):
    """Cannot be made."""

    def __init__(self, info, task, *, width: int = 8, depth: int = 1):
        raise RuntimeError("never")


@pytest.fixture(scope="module")
def strangers():
    made = {"detect.cracked": Cracked, "detect.mute": Mute, "detect.stillborn": Stillborn}
    for name, cls in made.items():
        HEADS.register(name, cls)
    yield
    for name in made:
        HEADS.unregister(name)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return small_cache(tmp_path_factory.mktemp("compare") / "cache")


def compare(cache, out, *heads, seeds=1, memory=None, **more):
    given = {"heads": heads, "data": DATA, "cache": str(cache), "eval_every": 1.0, "device": "cpu"}
    request = make_request({**given, "settings": {**SETTINGS, **more}})
    return compare_heads(request, Comparison(out=out, seeds=seeds, memory=memory))[0]


def tensors(file):
    return read_tensors(file)[1]


def results(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("result.json"))


@pytest.fixture(scope="module")
def whole(cache, strangers, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "whole"
    return out, compare(cache, out, "a=fcos", "detect.cracked", "detect.mute", "detect.stillborn", "b=fcos", seeds=2)


def test_a_failing_head_stops_no_other(whole):
    out, standings = whole
    assert {"a", "b"} <= {one.name for one in standings if len(one.rows) == 2}
    failures = json.loads((out / "failures.json").read_text())
    assert "RuntimeError: never at " in failures["stillborn"] and "test_compare.py" in failures["stillborn"]
    assert set(failures) == {"stillborn", *(f"seed{n}/{name}" for n in (0, 1) for name in ("cracked", "mute"))}
    assert re.match(r"step \d+: ValueError", failures["seed0/cracked"]) and "no words" in failures["seed1/mute"]
    assert not any("/mute/" in path for path in results(out))


def test_the_leaderboard_has_costs_scores_and_seeds(whole):
    out, _ = whole
    rows = json.loads((out / "leaderboard.json").read_text())
    first = next(row for row in rows if row["name"] == "a")
    assert first["seeds"] == [0, 1] and first["scores"]["AP"]["std"] is not None
    assert all(
        first["costs"][key] > 0 for key in ("parameters", "macs", "milliseconds", "train_seconds", "cache_bytes")
    )
    assert (out / "leaderboard.csv").read_text().startswith("rank,name,head,seeds,protocol")
    assert re.search(r"\| a \| \d \| 2 \|", (out / "leaderboard.md").read_text())


def test_heads_learn_the_same_as_alone(whole, cache, tmp_path):
    out, _ = whole
    compare(cache, tmp_path / "alone", "a=fcos")
    assert len(results(tmp_path / "alone")) >= 1
    alone = tensors(next((tmp_path / "alone").rglob("a/last.safetensors")))
    beside = tensors(next((out / "seed0").rglob("a/last.safetensors")))
    assert alone.keys() == beside.keys() and all(torch.equal(alone[key], beside[key]) for key in alone)


def test_the_same_command_goes_on_and_another_is_refused(whole, cache):
    out, standings = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("last.safetensors")}
    plan = (out / "compare.json").read_text()
    Cracked.steps = 0
    again = compare(cache, out, "a=fcos", "detect.cracked", "detect.mute", "detect.stillborn", "b=fcos", seeds=2)
    assert (out / "compare.json").read_text() == plan
    assert [one.mean("AP") for one in again if one.name == "a"] == [
        one.mean("AP") for one in standings if one.name == "a"
    ]
    assert set(before) <= set(out.rglob("last.safetensors"))
    with pytest.raises(ArgusError, match=r"another comparison: config\.request\.heads \(.*\['a=fcos', "):
        compare(cache, out, "a=fcos", epochs=3)


def test_a_small_budget_makes_groups_with_the_same_outcome(whole, cache, tmp_path):
    out, _ = whole
    compare(cache, tmp_path / "tight", "a=fcos", "b=fcos", memory=0.001)
    groups = json.loads((tmp_path / "tight/compare.json").read_text())["groups"]
    assert ["a"] in groups and ["b"] in groups
    tight = tensors(next((tmp_path / "tight").rglob("b/last.safetensors")))
    beside = tensors(next((out / "seed0").rglob("b/last.safetensors")))
    assert all(torch.equal(tight[key], beside[key]) for key in tight)


def test_the_floor_is_in_every_comparison(whole):
    out, _ = whole
    floor = Detect.floor.partition(".")[2]
    assert any(f"/{floor}/" in path for path in results(out))


def test_a_row_can_be_reproduced(whole, tmp_path, capsys):
    out, _ = whole
    row = next((out / "seed1").rglob("a/result.json"))
    assert reproduce(row.parent, tmp_path / "again", "cpu")
    assert "the same: every score and every weight" in capsys.readouterr().out
    held = json.loads(row.read_text())
    changed = {**held, "metrics": {**held["metrics"], "AP": 0.75}, "weights_sha256": "x"}
    lines = differences(changed, held)
    assert lines[0].startswith("AP: 0.75000, again ") and "weights_sha256: x became" in lines[1]
    with pytest.raises(ArgusError, match=r"holds [0-9]+ results; name the folder of one below it: seed0/group0/"):
        reproduce(out, None, "cpu")
    with pytest.raises(ArgusError, match=r"is not RUN/HEAD/result\.json"):
        stray = tmp_path / "result.json"
        stray.write_text(row.read_text())
        reproduce(stray, None, "cpu")


def test_groups_share_a_batch_and_stay_within_the_budget():
    memory = {name: Memory(10, step) for name, step in (("a", 5), ("b", 30), ("c", 5), ("d", 5), ("e", 500))}
    batches = {"a": 4, "b": 4, "c": 8, "d": 4, "e": 4}
    assert group(memory, batches, 60) == (("a", "b", "d"), ("e",), ("c",))
    assert group(memory, batches, 1) == (("a",), ("b",), ("d",), ("e",), ("c",))
    assert group(memory, batches, 10**6) == (("a", "b", "d", "e"), ("c",))


def test_heads_whose_layers_are_given_parameters_are_counted_too():
    task, info = Detect.small(), FeatureInfo.vit(24)
    head = build_head("detect.adaptive_query", info, task, {})
    tokens, _ = task.example(info, (-1,), (64, 96), 1, torch.Generator().manual_seed(0))
    assert image_cost(head, tokens)["macs"] > 0
    assert all(parameter.requires_grad for parameter in head.parameters())


def test_costs_of_a_known_layer():
    task, info = Detect.small(), FeatureInfo.vit(24)
    head = build_head("detect.fcos", info, task, {"width": 16, "depth": 1})
    tokens, targets = task.example(info, (-1,), (64, 96), 2, torch.Generator().manual_seed(0))
    cost = image_cost(head, tokens[[0]])
    assert cost["macs"] > 16 * 24 * 4 * 6 and cost["milliseconds"] > 0
    memory = training_memory(head, tokens, targets)
    parameters = sum(p.numel() for p in head.parameters())
    assert memory.held == 5 * 4 * parameters
    assert memory.step > 2 * 24 * 4 * 6 * 4  # at least the features are kept
    assert all(p.grad is None for p in head.parameters())
