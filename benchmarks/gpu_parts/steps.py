"""One training step of every head: how often it waits for the device, and whether it gives the same bits again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from argus_arena.distributed import Distributed, join_processes
from argus_arena.run.phases import Phase
from argus_arena.training.trial import Trial
from argus_core.registry import HEADS
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.far_device import FAR, FarDevice
from argus_core.testing.kit.values import all_equal
from gpu_parts.bench import Bench
from gpu_parts.heads import experimental, subject_of

MOST_WAITS = 3
"""What docs/training.md promises of heads that are no experiments."""
UNORDERED = ("segment.linear", "segment.dpt", "depth.linear", "depth.dpt")
"""Heads whose gradients CUDA sums in any order, as docs/training.md says."""


def run(bench: Bench) -> None:
    """A check of each head that is trained; at toy size of those that are no experiments."""
    with bench.elsewhere() as (device, far), joined(device) as process:
        for entry in HEADS.entries():
            subject = subject_of(entry.name, bench.toy)
            if subject.build().trained and not (bench.toy and experimental(subject)):
                with bench.check(entry.name) as values:
                    check_steps(subject, process, far, values)


@contextmanager
def joined(device: str) -> Iterator[Distributed]:
    """The process of a run, with the settings that it makes for exact repetition."""
    if device == FAR:
        yield Distributed(0, 1, torch.device(FAR))
    else:
        with join_processes(device) as process:
            yield process


def check_steps(subject: Subject, process: Distributed, far: FarDevice | None, values: dict[str, float | str]) -> None:
    """Note waits and repetition of a head's steps; AssertionError if they break a promise."""
    first, waits = trained(subject, process, far)
    again, _ = trained(subject, process, far)
    values["waits"], values["repeats"] = len(waits), "yes" if all_equal(first, again) else "no"
    if not experimental(subject):
        assert len(waits) <= MOST_WAITS, f"a step waits {len(waits)} times: {', '.join(waits)}"
    if subject.name not in UNORDERED:
        assert values["repeats"] == "yes", "two trainings from one seed end with other weights"


def trained(subject: Subject, process: Distributed, far: FarDevice | None) -> tuple[list[Tensor], list[str]]:
    """The weights after two steps, with an average, and what the second one waited for."""
    head = subject.build()
    tokens, targets = subject.example(head, images=4)
    recipe = head.recipe.model_copy(update={"ema": 0.99, "clip": 1.0})
    trial = Trial("", 1.0, head, recipe, process)
    trial.begin(Phase(0, 10, 1e-3, ()))
    features, aims = tokens.to(process.device).features(head.needs), [one.to(process.device) for one in targets]
    trial.step(0, features, aims)
    waits = waits_of(lambda: trial.step(1, features, aims), far)
    return [value.detach().cpu() for value in head.state_dict().values()], waits


def waits_of(work: Callable[[], object], far: FarDevice | None) -> list[str]:
    """The places in which the CPU waits for the device."""
    if far is not None:
        far.waits.clear()
        work()
        return list(far.waits)
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [f"{one.filename}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)]
