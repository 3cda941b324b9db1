"""``benchmarks/gpu.py``: the whole of it at toy size, and how it keeps to its time."""

from __future__ import annotations

import copy
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from argus_core.registry import HEADS
from argus_core.testing.heads.subject import perturb

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


@pytest.fixture
def bench(gpu: ModuleType, tmp_path: Path) -> SimpleNamespace:
    record = gpu.Record(tmp_path / "found", {"device": "none"})
    return gpu.Bench(torch.device("cpu"), False, record, time.monotonic() + 100)


def planned(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, seconds: float = 1, **functions: object) -> list[object]:
    monkeypatch.setitem(sys.modules, "gpu_parts.made_up", SimpleNamespace(**functions))
    return [gpu.Planned(name, f"made_up:{name}", seconds) for name in functions]


def broken(bench: SimpleNamespace) -> None:
    raise ValueError("no such kernel")


def checked(bench: SimpleNamespace) -> None:
    with bench.check("holds") as values:
        values["difference"] = 0.5
    with bench.check("does not"):
        raise AssertionError("too far | away")
    bench.time("a pass", lambda: None, 4)
    bench.time("a broken pass", lambda: 1 / 0, 4)


def test_a_part_that_breaks_and_a_check_that_fails_end_nothing_else(gpu, bench, monkeypatch, capsys) -> None:
    gpu.run_parts(planned(gpu, monkeypatch, broken=broken, checked=checked), bench)
    found = json.loads(bench.record.out.with_suffix(".json").read_text())
    assert [(part["name"], part["state"]) for part in found["parts"]] == [("broken", "failed"), ("checked", "done")]
    assert [(check["name"], check["passed"], check["reason"]) for check in found["checks"]] == [
        ("holds", True, ""),
        ("does not", False, "too far | away"),
        ("a broken pass", False, "ZeroDivisionError: division by zero"),
    ]
    assert found["figures"][0]["values"]["images/s"] > 0
    table = bench.record.out.with_suffix(".md").read_text()
    assert "| checked | holds | ok | difference 0.5 |" in table and "too far / away" in table and "| a pass |" in table
    assert gpu.conclude(bench.record) == 1
    said = capsys.readouterr().out
    assert "FAILED broken: ValueError: no such kernel" in said and "FAILED checked: does not: too far | away" in said


def test_what_no_longer_fits_is_skipped_and_what_takes_too_long_is_cut(gpu, bench, monkeypatch, capsys) -> None:
    def endless(bench: SimpleNamespace) -> None:
        with bench.check("a loop"):
            while True:
                time.sleep(0.01)

    gpu.run_parts(planned(gpu, monkeypatch, seconds=0.02, endless=endless), bench)
    gpu.run_parts(planned(gpu, monkeypatch, seconds=1000, checked=checked), bench)
    assert [part.state for part in bench.record.parts] == ["cut", "skipped"] and not bench.record.checks
    assert gpu.conclude(bench.record) == 0
    said = capsys.readouterr().out
    assert "to do: checked 1000 s" in said and "not done: endless, checked" in said


def test_a_run_that_is_cut_keeps_what_it_has(gpu, bench, monkeypatch) -> None:
    def interrupted(bench: SimpleNamespace) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu.run_parts(planned(gpu, monkeypatch, checked=checked, interrupted=interrupted), bench)
    found = json.loads(bench.record.out.with_suffix(".json").read_text())
    assert [part["name"] for part in found["parts"]] == ["checked"] and len(found["checks"]) == 3


@pytest.mark.parametrize("name", ["depth.linear", "detect.slim_fcos"])
def test_heads_of_other_weights_are_found_to_differ(gpu, name) -> None:
    heads = importlib.import_module("gpu_parts.heads")
    near, *example = heads.subject_of(name, toy=True).ready()
    equal, other = copy.deepcopy(near), perturb(copy.deepcopy(near), seed=1)
    assert {*dict(heads.differences(copy.deepcopy(near), equal, example, "cpu")).values()} == {0.0}
    found = dict(heads.differences(near, other, example, "cpu"))
    assert {step for step in found if found[step] > heads.LIMITS[step]} >= {"forward", "loss", "gradients", "optimizer"}


def test_the_parts_fit_into_the_time_of_a_run(gpu) -> None:
    assert sum(part.seconds for part in gpu.PARTS) <= 60 * 8
    assert len({part.name for part in gpu.PARTS}) == len({part.function for part in gpu.PARTS}) == len(gpu.PARTS)


@pytest.mark.slow
def test_at_toy_size_every_part_is_done_and_every_check_holds(gpu, tmp_path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--toy", "--device", "cpu", "--out", str(tmp_path / "toy")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads only slow down what is so small
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "toy.json").read_text())
    assert [(part["name"], part["state"]) for part in found["parts"]] == [(part.name, "done") for part in gpu.PARTS]
    checks = {(check["part"], check["name"]) for check in found["checks"]}
    assert {("heads", f"{entry.name}: as on the CPU") for entry in HEADS.entries()} <= checks
    standard = {"detect.fcos", "detect.split_tower", "classify.knn", "segment.dpt", "depth.linear", "correspond.match"}
    assert {("heads", f"{name}: promises") for name in standard} <= checks
    assert {name for part, name in checks if part == "training steps"} >= {"detect.fcos", "classify.linear"}
    measured = {(figure["part"], figure["name"]) for figure in found["figures"] if figure["values"].get("ms", 1) > 0}
    assert {part for part, _ in checks | measured} == {part.name for part in gpu.PARTS}
    assert {name for part, name in measured if part == "backbone"} == {
        f"{side} px, batch {batch}, {precision}, eager"
        for side in (64, 32)
        for batch in (1, 2)
        for precision in ("fp32", "auto (fp32)")
    }
    table = (tmp_path / "toy.md").read_text()
    assert all(f"| {part} | {name} |" in table for part, name in checks | measured)
