"""Checks of a task's metric: what it rewards, and that neither order nor processes change a score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from argus_core.common.options import options_model
from argus_core.errors import ArgusError
from argus_core.testing.kit.plain import through_json
from argus_core.testing.tasks.subject import SAMPLES, TaskSubject, scored

Scores = Mapping[str, float]
ROUNDING = 1e-6


def metric_best(subject: TaskSubject) -> None:
    """All scores are numbers, ``primary`` is among them, and the fewer predictions are right, the worse it is."""
    if not subject.offers:
        return
    values = []
    for right in (SAMPLES, SAMPLES // 2, 0):
        metric = subject.task.metric()
        scores = scored(metric, subject.samples(right))
        assert metric.primary in scores, f"primary {metric.primary!r} is not among the scores {list(scores)}"
        odd = {name: value for name, value in scores.items() if not isinstance(value, float | int)}
        assert not odd, f"scores must be numbers, not {odd}"
        values.append(scores[metric.primary])
    if not metric.higher_is_better:
        values.reverse()
    assert values[0] > values[1] > values[2], (
        f"with all, half and none of the predictions right, {metric.primary} should "
        f"{'fall' if metric.higher_is_better else 'rise'}, but is {values if metric.higher_is_better else values[::-1]}"
    )


def metric_order(subject: TaskSubject) -> None:
    """The order in which images are added changes no score."""
    if not subject.offers:
        return
    samples = subject.samples(SAMPLES // 2)
    first = scored(subject.task.metric(), samples)
    for other in (samples[::-1], samples[3:] + samples[:3], samples[1::2] + samples[::2]):
        _assert_alike(first, scored(subject.task.metric(), other), "in another order")


def metric_merge(subject: TaskSubject) -> None:
    """Metrics of parts, merged from states that went through JSON, score as one that saw everything."""
    if not subject.offers:
        return
    samples = subject.samples(SAMPLES // 2)
    whole = scored(subject.task.metric(), samples)
    states = [_state(subject, samples[::2]), _state(subject, samples[1::2]), _state(subject, [])]
    for order in (states, states[::-1]):
        metric = subject.task.metric()
        scored(metric, samples[:1])
        try:
            metric.merge(order)
        except ArgusError as error:
            raise AssertionError(f"merge, which replaces what was collected, refuses parts: {error}") from error
        _assert_alike(whole, metric.compute(), "merged from parts (merge replaces what was collected)")
    _assert_raises(lambda: metric.update(*samples[0]), "an image that came by merge can be added again")


def _state(subject: TaskSubject, samples: list[tuple[str, Any, Any]]) -> Any:
    metric = subject.task.metric()
    for sample in samples:
        metric.update(*sample)
    return through_json(metric.state(), "state()")


def metric_duplicates(subject: TaskSubject) -> None:
    """An image that is counted twice raises ArgusError and changes nothing."""
    if not subject.offers:
        return
    samples = subject.samples(SAMPLES // 2)
    metric = subject.task.metric()
    before = scored(metric, samples)
    _assert_raises(lambda: metric.update(*samples[0]), "update takes a key twice")
    _assert_alike(before, metric.compute(), "after a key that was refused")
    states = [_state(subject, samples[:2]), _state(subject, samples[1:])]
    _assert_raises(lambda: subject.task.metric().merge(states), "merge takes states that share an image")


def metric_empty(subject: TaskSubject) -> None:
    """A metric that saw nothing has scores, nan or not, and shares nothing with one that did."""
    try:
        before = subject.task.metric().compute()
    except Exception as error:
        raise AssertionError(f"compute() of no images raises {type(error).__name__}: give nan") from error
    primary = subject.task.metric().primary
    assert primary in before, f"of no images compute() gives {list(before)} without the primary {primary!r}: use nan"
    if subject.offers:
        scored(subject.task.metric(), subject.samples())
        _assert_alike(before, subject.task.metric().compute(), "after another metric was used: metrics share state")


def metric_protocol(subject: TaskSubject) -> None:
    """``protocol`` names the rules of scoring; an option that changes a score changes it."""
    usual = subject.task.metric()
    protocol = usual.protocol
    assert isinstance(protocol, str) and protocol.strip(), "protocol must name the rules of scoring, such as pose-oks-1"
    if not subject.offers:
        return
    samples = subject.samples(SAMPLES // 2)
    scores = scored(usual, samples)
    for name, value in _alternatives(subject):
        metric_with: Any = subject.task.metric
        try:
            metric = metric_with(**{name: value})
            other = scored(metric, samples)
        except ArgusError:  # not installed, or not for such annotations
            continue
        assert _alike(scores, other) or metric.protocol != protocol, (
            f"option {name}={value!r} changes scores but not the protocol {protocol!r}: name the option in it"
        )


def _alternatives(subject: TaskSubject) -> Iterator[tuple[str, Any]]:
    """Every option of the metric with another value than its default's."""
    for name, field in options_model(subject.task.metric).model_fields.items():
        default = field.default
        if get_origin(field.annotation) is Literal:
            yield from ((name, value) for value in get_args(field.annotation) if value != default)
        elif isinstance(default, bool):
            yield name, not default
        elif isinstance(default, int | float):
            yield name, default * 2 or 1


def _alike(first: Scores, second: Scores) -> bool:
    return first.keys() == second.keys() and all(_close(first[name], second[name]) for name in first)


def _close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=ROUNDING, abs_tol=1e-9)


def _assert_alike(first: Scores, second: Scores, when: str) -> None:
    assert first.keys() == second.keys(), f"{when} there are other scores: {list(first.keys() ^ second.keys())}"
    moved = [
        f"{name} {first[name]:.6g} became {second[name]:.6g}" for name in first if not _close(first[name], second[name])
    ]
    assert not moved, f"{when}, {'; '.join(moved[:3])}"


def _assert_raises(work: Callable[[], Any], what: str) -> None:
    try:
        work()
    except ArgusError:
        return
    raise AssertionError(f"{what}: raise ArgusError with the keys")
