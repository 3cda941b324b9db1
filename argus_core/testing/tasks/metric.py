"""Checks of a task's metric: what it rewards, and that neither order nor processes change a score."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import numpy as np

from argus_core.common.options import options_model
from argus_core.errors import ArgusError
from argus_core.testing.kit.isolation import assert_refused, reported
from argus_core.testing.kit.values import through_json
from argus_core.testing.tasks.subject import SAMPLES, Sample, TaskSubject, scored, with_examples

Scores = Mapping[str, float]
ROUNDING = 1e-6
CHOICES = ([1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1], [3, 0, 1, 0, 2, 1])
"""How often each of the samples is chosen."""
ADVICE = ": raise ArgusError with the keys"


@with_examples
def metric_best(subject: TaskSubject) -> None:
    """All scores are numbers, ``primary`` is among them, and the fewer predictions are right, the worse it is."""
    values = []
    for right in (SAMPLES, SAMPLES // 2, 0):
        metric = subject.task.metric()
        scores = scored(metric, subject.samples(right))
        assert metric.primary in scores, f"primary {metric.primary!r} is not among the scores {list(scores)}"
        odd = {name: value for name, value in scores.items() if not isinstance(value, float | int)}
        assert not odd, f"scores must be numbers, not {odd}"
        values.append(scores[metric.primary])
    falling = values if metric.higher_is_better else values[::-1]
    assert falling[0] > falling[1] > falling[2], (
        f"with all, half and none of the predictions right, {metric.primary} should "
        f"{'fall' if metric.higher_is_better else 'rise'}, but is {values}"
    )


@with_examples
def metric_order(subject: TaskSubject) -> None:
    """The order in which images are added changes no score."""
    samples = subject.samples()
    first = scored(subject.task.metric(), samples)
    for other in (samples[::-1], samples[3:] + samples[:3], samples[1::2] + samples[::2]):
        _assert_alike(first, scored(subject.task.metric(), other), "in another order")


@with_examples
def metric_merge(subject: TaskSubject) -> None:
    """Metrics of parts, merged from states that went through JSON, score as one that saw everything."""
    samples = subject.samples()
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
    assert_refused(metric.update, *samples[0], fault=f"an image that came by merge can be added again{ADVICE}")


def _state(subject: TaskSubject, samples: list[Sample]) -> Any:
    metric = subject.task.metric()
    for sample in samples:
        metric.update(*sample)
    return through_json(metric.state(), "state()")


@with_examples
def metric_duplicates(subject: TaskSubject) -> None:
    """An image that is counted twice raises ArgusError and changes nothing."""
    samples = subject.samples()
    metric = subject.task.metric()
    before = scored(metric, samples)
    assert_refused(metric.update, *samples[0], fault=f"update takes a key twice{ADVICE}")
    _assert_alike(before, metric.compute(), "after a key that was refused")
    states = [_state(subject, samples[:2]), _state(subject, samples[1:])]
    assert_refused(subject.task.metric().merge, states, fault=f"merge takes states that share an image{ADVICE}")


@with_examples
def metric_contributions(subject: TaskSubject) -> None:
    """If contributions are kept, scores computed from them over any choice of samples are those of ``compute``."""
    samples, metric = subject.samples(SAMPLES // 2), subject.task.metric()
    every = scored(metric, samples)
    kept = metric.contributions()
    if kept is None:
        return
    keys = sorted(key for key, _, _ in samples)
    assert list(kept.keys) == keys, f"contributions() has the keys {list(kept.keys)}, not all of {keys} in their order"
    rules = {name: rule for name in every if (rule := subject.task.metric().rescore(kept, name)) is not None}
    assert metric.primary in rules, f"rescore gives no way to the primary score {metric.primary!r}"
    for counts in CHOICES:
        again = scored(subject.task.metric(), _chosen(samples, dict(zip(keys, counts, strict=True))))
        found = {name: float(rule(np.array([counts, counts]))[1]) for name, rule in rules.items()}
        wanted = {name: value for name, value in again.items() if name in rules}
        _assert_alike(wanted, found, f"from contributions of samples chosen {counts} times")


def _chosen(samples: list[Sample], counts: Mapping[str, int]) -> list[Sample]:
    """The samples as often as they are chosen, each under a key of its own."""
    return [(f"{key} {time}", prediction, truth) for key, prediction, truth in samples for time in range(counts[key])]


def metric_empty(subject: TaskSubject) -> None:
    """A metric that saw nothing has scores, nan or not, and shares nothing with one that did."""
    with reported("compute() of no images", ": give nan"):
        before = subject.task.metric().compute()
    primary = subject.task.metric().primary
    assert primary in before, f"of no images compute() gives {list(before)} without the primary {primary!r}: use nan"
    if subject.has_examples:
        scored(subject.task.metric(), subject.samples(SAMPLES))
        _assert_alike(before, subject.task.metric().compute(), "after another metric was used: metrics share state")


def metric_protocol(subject: TaskSubject) -> None:
    """``protocol`` names the rules of scoring; an option that changes a score changes it."""
    usual = subject.task.metric()
    protocol = usual.protocol
    assert isinstance(protocol, str) and protocol.strip(), "protocol must name the rules of scoring, such as pose-oks-1"
    if not subject.has_examples:
        return
    samples = subject.samples()
    scores = scored(usual, samples)
    for name, value in _alternatives(subject):
        try:
            metric = subject.task.metric(**{name: value})
            other = scored(metric, samples)
        except ArgusError:  # not installed, or not for such annotations
            continue
        assert not _moved(scores, other) or metric.protocol != protocol, (
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


def _moved(first: Scores, second: Scores) -> list[str]:
    """Scores that differ, with both values; names that only one of the two has come first."""
    names = [f"{name} is only in one" for name in first.keys() ^ second.keys()]
    return names + [
        f"{name} {first[name]:.6g} became {second[name]:.6g}"
        for name in first
        if name in second
        and not (math.isnan(first[name]) and math.isnan(second[name]))
        and not math.isclose(first[name], second[name], rel_tol=ROUNDING, abs_tol=1e-9)
    ]


def _assert_alike(first: Scores, second: Scores, when: str) -> None:
    moved = _moved(first, second)
    assert not moved, f"{when}, {'; '.join(moved[:3])}"
