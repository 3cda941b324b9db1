"""Checks of annotations: on the canvas, judged, counted, and said back by a perfect prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from argus_core.canvas import Canvas
from argus_core.testing.kit.plain import same, through_json
from argus_core.testing.tasks.subject import PLACES, SIZE, TaskSubject

ODD = (97, 33)
"""Of another image (height, width)."""
RUBBISH: tuple[Any, ...] = (
    *(None, "text", b"", -1, 10**9, 0.5, float("nan"), [], (), {}, object()),
    *(np.zeros(0), np.zeros((2, 3, 4)), np.full(SIZE, np.nan), np.full(SIZE, 10**6), np.array("text")),
)
"""What an annotation might be by mistake."""


def example_truth(subject: TaskSubject) -> None:
    """The task offers an example annotation without fault, and a perfect prediction of it."""
    truth = subject.truth()
    assert truth is not None, "override Task.example_truth: without it target, metric and result cannot be checked"
    for size in (SIZE, ODD):
        wrong = subject.task.fault(subject.truth(size=size), size)
        assert not wrong, f"fault says of example_truth for an image of {size}: {wrong}"
    said = subject.task.perfect(truth, PLACES["without scaling"])
    assert said is not None, "override Task.perfect: without it to_image, metric and result cannot be checked"
    assert same(subject.truth(), truth), "example_truth gives another annotation for the same state of its generator"
    assert subject.truths


def target(subject: TaskSubject) -> None:
    """``target`` puts an annotation on any canvas, twice alike, into something with ``.to``, and leaves it alone."""
    if subject.truth() is None:
        return
    for where, place in {**PLACES, "of an odd image": Canvas(64, 96).place(*ODD)}.items():
        truth = subject.truth(size=place.image_size)
        first, second = (subject.task.target(truth, place) for _ in range(2))
        assert same(first, second), f"target gives something else the second time, {where}"
        assert same(truth, subject.truth(size=place.image_size)), f"target writes into the annotation, {where}"
        assert hasattr(first, "to"), f"target gives {type(first).__name__}, which has no method .to(device)"
        assert type(first.to("cpu")) is type(first), "target.to(device) must give a target again"
        assert same(first.to("cpu"), first), "target.to('cpu') changes the target"


def nothing(subject: TaskSubject) -> None:
    """``nothing`` is None, or a target like any other."""
    none = subject.task.nothing(SIZE)
    if none is None or subject.truth() is None:
        return
    usual = subject.task.target(subject.truth(), PLACES["without scaling"])
    assert type(none) is type(usual), f"nothing() gives {type(none).__name__}, target() {type(usual).__name__}"
    assert same(none.to("cpu"), none), "nothing(...).to('cpu') changes the target"


def fault(subject: TaskSubject) -> None:
    """``fault`` says in words what is wrong with any object that is given as an annotation, and never raises."""
    for given in (*RUBBISH, subject.truth()):
        try:
            said = subject.task.fault(given, SIZE)
        except Exception as error:
            raise AssertionError(
                f"fault raises {type(error).__name__} for {given!r}: say in a text what is wrong with it"
            ) from error
        assert isinstance(said, str), f"fault gives {said!r} for {given!r}, not a text, empty if nothing is wrong"


def summary(subject: TaskSubject) -> None:
    """``summary`` counts annotations in one pass, none of them included, and gives plain JSON values."""
    truths = [] if subject.truth() is None else subject.truths
    for some in ([], truths):
        try:
            found = subject.task.summary(iter(some))
        except Exception as error:
            raise AssertionError(
                f"summary of {len(some)} annotations raises {type(error).__name__}: it must do with any number of them"
            ) from error
        again = through_json(found, "the summary")
        assert again == found, f"the summary {found} comes back from JSON as {again}: use texts as keys"


def check(subject: TaskSubject) -> None:
    """``check`` and ``inside`` accept perfect predictions wherever the image lies; ``check`` refuses what is none."""
    if not subject.offers:
        return
    for where, place in PLACES.items():
        for said in subject.on_canvas(subject.truth(), place):
            try:
                subject.task.check(said, place.canvas_size)
                subject.task.inside(said, place.extent)
            except AssertionError as error:
                raise AssertionError(f"a perfect prediction, {where}, is refused: {error}") from error
    for rubbish in (None, "text", object()):
        try:
            subject.task.check(rubbish, SIZE)
        except Exception:
            continue
        raise AssertionError(f"check accepts {rubbish!r} as a prediction: assert what a prediction must hold")
