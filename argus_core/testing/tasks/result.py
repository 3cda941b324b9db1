"""Checks of the way back to the image: mapping, merging of passes, and what a user is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from argus_core.canvas import Placement
from argus_core.errors import ArgusError
from argus_core.tasks import Result
from argus_core.testing.kit.plain import same, through_json
from argus_core.testing.tasks.subject import PLACES, SIZE, TaskSubject, scored

SLACK = 1e-6


def to_image(subject: TaskSubject) -> None:
    """Perfect predictions come back to image pixels from every placement: each fits its own image best."""
    if not subject.offers:
        return
    base = _score(subject, PLACES["without scaling"], right=True)
    for where, place in PLACES.items():
        right, wrong = (_score(subject, place, right=each) for each in (True, False))
        assert _better(subject, right, wrong), (
            f"{where}, perfect predictions score {right:.4g}, those of other images {wrong:.4g}: to_image must undo "
            "what the placement does to annotations"
        )
    mirrored = _score(subject, PLACES["mirrored"], right=True)
    assert abs(mirrored - base) <= SLACK * max(1, abs(base)), (
        f"perfect predictions score {base:.6g}, of mirrored images {mirrored:.6g}: to_image must mirror them back"
    )


def merge(subject: TaskSubject) -> None:
    """``merge`` of one pass is ``to_image``; of several it is one prediction of that kind, or refused by ArgusError."""
    if not subject.offers:
        return
    place, mirrored = PLACES["without scaling"], PLACES["mirrored"]
    truth = subject.truths[0]
    for one, other in zip(subject.on_canvas(truth, place), subject.on_canvas(truth, mirrored), strict=True):
        alone = subject.task.merge([one], [place])
        assert same(alone, subject.task.to_image(one, place)), (
            "merge of one pass differs from to_image: let to_image be merge of one"
        )
        try:
            both = subject.task.merge([one, other], [place, mirrored])
        except ArgusError:
            continue
        assert type(both) is type(alone), f"merge of two passes gives {type(both).__name__}, not {type(alone).__name__}"
        scored(subject.task.metric(), [("image", both, truth)])


def result(subject: TaskSubject) -> None:
    """``result`` is a Result: plain JSON values, and a picture as RGB bytes; the image is left alone."""
    if not subject.offers:
        return
    said = subject.in_image(subject.truth())
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    given = image.copy()
    found = subject.task.result(said[0] if type(said) is tuple else said, given)
    assert isinstance(found, Result), f"result gives {type(found).__name__}, not a subclass of argus_core.Result"
    through_json(found.to_dict(), "result(...).to_dict()", allow_nan=False)
    picture: Any = found.draw()
    shape: tuple[int, ...] = getattr(picture, "shape", ())
    dtype = getattr(picture, "dtype", None)
    assert dtype == np.uint8 and len(shape) == 3 and shape[2] == 3, (
        f"draw() gives {type(picture).__name__} {shape} {dtype}, not RGB bytes (h, w, 3)"
    )
    assert np.array_equal(image, given), "result or draw writes into the image: draw on a copy"


def _score(subject: TaskSubject, place: Placement, right: bool) -> float:
    """The primary score of perfect predictions, each against its own annotation or the next image's."""
    truths = subject.truths
    said = [subject.in_image(truth, place) for truth in (truths if right else truths[1:] + truths[:1])]
    metric = subject.task.metric()
    samples = [(f"image {i}", one, truth) for i, (one, truth) in enumerate(zip(said, truths, strict=True))]
    return scored(metric, samples)[metric.primary]


def _better(subject: TaskSubject, first: float, second: float) -> bool:
    return first > second if subject.task.metric().higher_is_better else first < second
