"""Checks of annotations and predictions: on the canvas, judged, counted, mapped back to the image, and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from argus_core.canvas import Canvas, Placement
from argus_core.errors import ArgusError
from argus_core.tasks import Calibration, Result
from argus_core.testing.kit.isolation import assert_refused, reported
from argus_core.testing.kit.values import same, through_json
from argus_core.testing.tasks.subject import PLACES, SAMPLES, SIZE, UNSCALED, TaskSubject, scored, with_examples

ODD = (97, 33)
"""Height and width of another image."""
RUBBISH: tuple[Any, ...] = (
    *(None, "text", b"", -1, 10**9, 0.5, float("nan"), [], (), {}, object()),
    *(np.zeros(0), np.zeros((2, 3, 4)), np.full(SIZE, np.nan), np.full(SIZE, 10**6), np.array("text")),
)
"""Values that may be given as an annotation by mistake."""
SLACK = 1e-6


def example_truth(subject: TaskSubject) -> None:
    """The task offers an example annotation without fault, and a perfect prediction of it."""
    truth = subject.truth()
    assert truth is not None, "override Task.example_truth: without it target, metric and result cannot be checked"
    for size in (SIZE, ODD):
        fault = subject.task.fault(subject.truth(size=size), size)
        assert not fault, f"fault says of example_truth for an image of {size}: {fault}"
    prediction = subject.task.perfect(truth, UNSCALED)
    assert prediction is not None, "override Task.perfect: without it to_image, metric and result cannot be checked"
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
    nothing = subject.task.nothing(SIZE)
    if nothing is None or subject.truth() is None:
        return
    usual = subject.task.target(subject.truth(), UNSCALED)
    assert type(nothing) is type(usual), f"nothing() gives {type(nothing).__name__}, target() {type(usual).__name__}"
    assert same(nothing.to("cpu"), nothing), "nothing(...).to('cpu') changes the target"


def fault(subject: TaskSubject) -> None:
    """``fault`` says in words what is wrong with any object that is given as an annotation, and never raises."""
    for truth in (*RUBBISH, subject.truth()):
        with reported("fault", f" for {truth!r}: say in a text what is wrong with it"):
            fault = subject.task.fault(truth, SIZE)
        assert isinstance(fault, str), f"fault gives {fault!r} for {truth!r}, not a text, empty if nothing is wrong"


def summary(subject: TaskSubject) -> None:
    """``summary`` counts annotations in one pass, none of them included, and gives plain JSON values."""
    for truths in ([], [] if subject.truth() is None else subject.truths):
        with reported(f"summary of {len(truths)} annotations", ": it must do with any number of them"):
            summary = subject.task.summary(iter(truths))
        again = through_json(summary, "the summary")
        assert again == summary, f"the summary {summary} comes back from JSON as {again}: use texts as keys"


@with_examples
def check(subject: TaskSubject) -> None:
    """``check`` and ``inside`` accept perfect predictions wherever the image lies; ``check`` refuses what is none."""
    for where, place in PLACES.items():
        for prediction in subject.on_canvas(subject.truth(), place):
            try:
                subject.task.check(prediction, place.canvas_size)
                subject.task.inside(prediction, place.extent)
            except AssertionError as error:
                raise AssertionError(f"a perfect prediction, {where}, is refused: {error}") from error
    for rubbish in (None, "text", object()):
        fault = f"check accepts {rubbish!r} as a prediction: assert what a prediction must hold"
        assert_refused(subject.task.check, rubbish, SIZE, fault=fault, errors=(Exception,))


@with_examples
def to_image(subject: TaskSubject) -> None:
    """Perfect predictions come back to image pixels from every placement: each fits its own image best."""
    higher_is_better = subject.task.metric().higher_is_better
    scores = {}
    for where, place in PLACES.items():
        right, wrong = (_score(subject, count, place) for count in (SAMPLES, 0))
        assert right > wrong if higher_is_better else right < wrong, (
            f"{where}, perfect predictions score {right:.4g}, those of other images {wrong:.4g}: to_image must undo "
            "what the placement does to annotations"
        )
        scores[where] = right
    base, mirrored = scores["without scaling"], scores["mirrored"]
    assert abs(mirrored - base) <= SLACK * max(1, abs(base)), (
        f"perfect predictions score {base:.6g}, of mirrored images {mirrored:.6g}: to_image must mirror them back"
    )


def _score(subject: TaskSubject, right: int, place: Placement) -> float:
    metric = subject.task.metric()
    return scored(metric, subject.samples(right, place))[metric.primary]


@with_examples
def merge(subject: TaskSubject) -> None:
    """``merge`` of one pass is ``to_image``; of several it is one prediction of that kind, or refused by ArgusError."""
    mirrored, truth = PLACES["mirrored"], subject.truths[0]
    passes = (subject.on_canvas(truth, place) for place in (UNSCALED, mirrored))
    for first, second in zip(*passes, strict=True):
        alone = subject.task.merge([first], [UNSCALED])
        assert same(alone, subject.task.to_image(first, UNSCALED)), (
            "merge of one pass differs from to_image: let to_image be merge of one"
        )
        try:
            both = subject.task.merge([first, second], [UNSCALED, mirrored])
        except ArgusError:
            continue
        assert type(both) is type(alone), f"merge of two passes gives {type(both).__name__}, not {type(alone).__name__}"
        scored(subject.task.metric(), [("image", both, truth)])


@with_examples
def confidences(subject: TaskSubject) -> None:
    """``outcomes`` finds perfect predictions right, and ``calibrated`` ones are as well-formed as others."""
    task, truth = subject.task, subject.truth()
    for where, place in PLACES.items():
        for prediction in subject.on_canvas(truth, place):
            calibrated = task.calibrated(prediction, Calibration(2.0, -0.5))
            try:
                task.check(calibrated, place.canvas_size)
                task.inside(calibrated, place.extent)
            except AssertionError as error:
                raise AssertionError(f"a calibrated prediction, {where}, is refused by check: {error}") from error
            outcomes = task.outcomes(prediction, task.target(truth, place), 7)
            if outcomes is not None:
                wrong = int((outcomes.claimed != outcomes.true).sum())
                assert not wrong, f"outcomes finds {wrong} of {len(outcomes)} answers of a perfect prediction wrong"
                assert (outcomes.image == 7).all(), "outcomes must be of the image whose number it was given"


@with_examples
def result(subject: TaskSubject) -> None:
    """``result`` is a Result: plain JSON values, and a picture as RGB bytes; the image is left alone."""
    prediction = subject.in_image(subject.truth())
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    copy = image.copy()
    result = subject.task.result(prediction[0] if type(prediction) is tuple else prediction, copy)
    assert isinstance(result, Result), f"result gives {type(result).__name__}, not a subclass of argus_core.Result"
    through_json(result.to_dict(), "result(...).to_dict()", allow_nan=False)
    picture: Any = result.draw()
    shape: tuple[int, ...] = getattr(picture, "shape", ())
    dtype = getattr(picture, "dtype", None)
    assert dtype == np.uint8 and len(shape) == 3 and shape[2] == 3, (
        f"draw() gives {type(picture).__name__} {shape} {dtype}, not RGB bytes (h, w, 3)"
    )
    assert np.array_equal(image, copy), "result or draw writes into the image: draw on a copy"
