"""A run that is killed and goes on, one that is repeated, and the speed of training steps."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_arena.distributed import Distributed
from argus_arena.requests import RunRequest, make_request
from argus_arena.run.folder import RunFolder
from argus_arena.run.phases import Phase
from argus_arena.training.learner import Learner
from argus_arena.training.train import train_run
from argus_arena.training.trial import Trial
from argus_core import Detect, build_head
from argus_core.saving.checkpoint import read_tensors
from argus_core.testing.kit.values import all_equal
from argus_core.tokens import FeatureInfo
from gpu_parts.bench import Bench
from gpu_parts.steps import joined

RUN = {
    "heads": ("detect.split_tower", "classify.linear", "classify.prototypes"),
    "data": "scenes:images=16,val=4,size=64",
    "backbone": "tiny",
    "canvas": "64",
    "save_every": 5,
    "eval_every": 4,
    "settings": {"batch": 4, "steps": 16, "width": 32, "stages": [], "sweep": []},
}
"""Heads that learn by gradients and in closed form, on live tokens."""
KILLED, SAVED = 12, 10
"""The step in which a run is killed, and the last one before it whose state was saved."""
CLASSES = tuple(f"class {number}" for number in range(80))


def run(bench: Bench) -> None:
    """Two checks, then measurements."""
    request = make_request({**RUN, "device": str(bench.device)})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = finished(request, folder / "whole")
        with bench.check("a run that was killed and resumed ends with the weights of a whole one") as values:
            values["killed in step"], values["resumed from step"] = KILLED, kill(request, folder / "killed")
            assert_equal(whole, finished(request, folder / "killed"))
        with bench.check("a second run of the same seed ends with the same weights"):
            assert_equal(whole, finished(request, folder / "again"))
    with joined(str(bench.device)):
        for head in ("detect.fcos", "detect.split_tower"):
            measure(bench, head)


def finished(request: RunRequest, out: Path) -> dict[str, Tensor]:
    """The last weights of a run that is trained, or continued, to its end."""
    with quiet():
        rows = train_run(request, out)
    return {
        f"{head}.{key}": value
        for head in rows
        for key, value in read_tensors(RunFolder(out).weights(head, "last"))[1].items()
    }


def assert_equal(whole: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """AssertionError with the names of the tensors that are not the same bit for bit."""
    assert whole.keys() == other.keys(), "the runs trained other heads"
    differing = [key for key in whole if not all_equal([whole[key]], [other[key]])]
    assert not differing, f"{len(differing)} of {len(whole)} tensors differ: {', '.join(differing[:5])}"


def kill(request: RunRequest, out: Path) -> int:
    """Train in a process that is killed in the middle; returns the step from which the run can go on."""
    process = multiprocessing.get_context("spawn").Process(target=train_until_killed, args=(request, out))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the process was not killed, it ended with {process.exitcode}"
    step = int(read_tensors(RunFolder(out).state)[0]["step"])
    assert step == SAVED, f"its state is of step {step}, not {SAVED}"
    return step


def train_until_killed(request: RunRequest, out: Path) -> None:
    """Train, and die without a word in step ``KILLED``."""
    step = Learner.step

    def deadly(self: Learner, number: int, *rest: Any) -> dict[str, dict[str, float]]:
        if number == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, number, *rest)

    Learner.step = deadly  # type: ignore[assignment, method-assign]
    with quiet():
        train_run(request, out)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what commands print."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def measure(bench: Bench, name: str) -> None:
    """A step of a detector on tokens that are on the device already; reading them is not measured."""
    side, images, channels = (64, 2, 48) if bench.toy else (640, 64, 768)
    options = {"width": 32} if bench.toy else {}
    step = steps(bench, name, FeatureInfo.vit(channels), side, images, options)
    bench.time(f"a step of {name}, {side} px, batch {images}", lambda: next(step), images)


def steps(
    bench: Bench, name: str, info: FeatureInfo, side: int, images: int, options: Mapping[str, Any]
) -> Iterator[Mapping[str, float]]:
    """One training step after the other, on one batch."""
    task = Detect(classes=CLASSES)
    head = build_head(name, info, task, options)
    generator = torch.Generator().manual_seed(0)
    tokens, targets = task.example(info, head.needs.resolve(info).layers, (side, side), images, generator)
    trial = Trial("", 1.0, head, head.recipe, Distributed(0, 1, bench.device))
    trial.begin(Phase(0, 1000, head.recipe.lr, ()))
    there, aims = tokens.to(bench.device), [target.to(bench.device) for target in targets]
    del tokens
    for number in count():
        yield trial.step(number, there.features(head.needs), aims)
