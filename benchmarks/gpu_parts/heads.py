"""Every registered head on the device: its numbers beside the CPU's, and what the conformance kit promises of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from argus_core.common.options import options_model
from argus_core.head import Head
from argus_core.registry import HEADS
from argus_core.saving.build import head_class
from argus_core.testing.heads.subject import Subject, fit, mapped, total, trainable
from argus_core.testing.heads.subject import run as forward
from argus_core.testing.kit.values import largest_difference, tensors
from argus_core.testing.suite import HEAD_KIT
from gpu_parts.bench import Bench, close

LIMITS = {"fit": 1e-3, "forward": 1e-3, "loss": 1e-3, "gradients": 1e-2, "optimizer": 1e-4, "decode": 1e-3}
"""The largest differences from the CPU that pass in float32, relative to the largest value (at least 1), and of the
gradients relative to the length of all of them: the sums of the loss may be assigned to other places by rounding."""
PROMISES = ("any_size", "items_independent", "padding", "loss", "gradients", "learns", "bfloat16", "deterministic")
QUICK = ("bfloat16",)
"""The checks of the kit that run on the device, and those on the stand-in for one, which is slow."""
WIDTH = 48


def run(bench: Bench) -> None:
    """Two checks of each head; on the stand-in for a device one of those that are experiments."""
    bench.figure("largest differences that pass", **LIMITS)
    for entry in HEADS.entries():
        with bench.elsewhere() as (device, _):
            subject = subject_of(entry.name, bench.toy)
            with bench.check(f"{entry.name}: as on the CPU") as values:
                compare(subject, device, values)
            if bench.toy and experimental(subject):
                continue
            with bench.check(f"{entry.name}: promises"):
                keep_promises(replace(subject, device=device), QUICK if bench.toy else PROMISES)


def subject_of(name: str, toy: bool) -> Subject:
    """A head as a user gets it, or narrow."""
    narrow = toy and "width" in options_model(head_class(name)).model_fields
    return Subject.of(name, {"width": WIDTH} if narrow else {})


def experimental(subject: Subject) -> bool:
    """Whether the head is one of the experiments, of which less is promised."""
    return ".experimental." in subject.cls.__module__


def keep_promises(subject: Subject, checks: tuple[str, ...]) -> None:
    """AssertionError with what the kit finds wrong."""
    faults = {check: HEAD_KIT.fault(check, subject) for check in checks}
    broken = [f"{check}: {fault}" for check, fault in faults.items() if fault]
    assert not broken, "; ".join(broken)


def compare(subject: Subject, device: str, values: dict[str, float | str]) -> None:
    """Note how far every step of training and use is from the CPU; AssertionError if one is too far."""
    near, tokens, targets = subject.ready()
    far = copy.deepcopy(near).to(device)
    found = dict(differences(near, far, (tokens, targets), device))
    values |= found
    for step, difference in found.items():
        close(difference, LIMITS[step], step)


def differences(near: Head, far: Head, example: Any, device: str) -> Iterator[tuple[str, float]]:
    """How far each step is from the same step on the CPU, given equal weights and, for decoding, an equal output."""
    tokens, targets = example
    there, aims = tokens.to(device), [target.to(device) for target in targets]
    if near.fitted:
        fit(near, (tokens, targets))
        fit(far, (there, aims))
        yield "fit", distance(near.state_dict(), far.state_dict())
        far.load_state_dict({key: value.to(device) for key, value in near.state_dict().items()})
    with torch.no_grad():
        output = forward(near, tokens)
        yield "forward", distance(output, forward(far, there))
        moved = mapped(output, lambda value: value.to(device))
        yield "decode", distance(near.decode(output, tokens.size), far.decode(moved, tokens.size))
    if near.trained:
        yield from learning(training(near), training(far), (tokens, targets), (there, aims))


def learning(near: Head, far: Head, example: Any, there: Any) -> Iterator[tuple[str, float]]:
    """The steps of training; the optimiser is given equal gradients, whose signs alone decide its first step."""
    terms, others = (
        head.loss(forward(head, tokens), targets) for head, (tokens, targets) in ((near, example), (far, there))
    )
    yield "loss", distance(terms, others)
    total(terms).backward(), total(others).backward()
    here, away = trainable(near), trainable(far)
    grads = {name: parameter.grad for name, parameter in here.items() if parameter.grad is not None}
    first = torch.cat([grad.flatten() for grad in grads.values()])
    second = torch.cat([numbers(away[name].grad)[0].flatten() for name in grads])
    yield "gradients", float((first - second).norm() / first.norm())
    for name, grad in grads.items():
        away[name].grad = grad.to(away[name].device)
    for parameters in (here, away):
        torch.optim.AdamW(parameters.values(), near.recipe.lr).step()
    yield "optimizer", distance(here, away)


def training(head: Head) -> Head:
    """In training mode, but without dropout, whose noise differs between devices."""
    for module in head.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return head.train()


def distance(near: Any, far: Any) -> float:
    """The largest difference of all numbers in two values of the same form, the second of them on any device."""
    first, second = numbers(near), numbers(far)
    shapes = [tuple(value.shape) for value in first], [tuple(value.shape) for value in second]
    assert shapes[0] == shapes[1], f"shapes {shapes[1]} instead of {shapes[0]}"
    return largest_difference(first, second)


def numbers(value: Any) -> list[Tensor]:
    """All tensors in a value, on the CPU and as float32."""
    return [tensor.detach().cpu().float() for tensor in tensors(value)]
