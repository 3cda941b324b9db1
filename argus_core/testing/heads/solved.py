"""Checks of heads that are fitted: parts and order, what must not count, refitting, and degenerate data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.testing.heads.passes import fill_padding
from argus_core.testing.heads.shares import fit_by_processes
from argus_core.testing.heads.subject import CANVAS, Example, Subject, changed, fit, outputs, perturb, predict
from argus_core.testing.kit.values import all_equal, largest_difference
from argus_core.tokens import Tokens

IMAGES = 6
PARTS = ([0, 1], [2], [3, 4, 5])
ORDER = [4, 2, 5, 0, 3, 1]
SAME = 1e-6
"""Relative difference of outputs that the order of float64 sums may make, after rounding to float32."""


def fit_parts(subject: Subject) -> None:
    """Fitted in parts, in any order of images, or by several processes, it gives the same outputs, to 1e-6."""
    head = subject.build()
    if not head.fitted:
        return
    whole = subject.example(head, images=IMAGES)
    parts = [_take(whole, part) for part in PARTS]
    tokens, wanted = whole[0], _answers(subject, whole[0], whole)
    _check_same(wanted, _answers(subject, tokens, *parts), "how the training data were batched")
    _check_same(wanted, _answers(subject, tokens, _take(whole, ORDER)), "the order of images")
    shares = [(part.features(head.needs), targets) for part, targets in parts]
    heads = fit_by_processes(subject.build, shares)
    for each in heads:
        answers = outputs(perturb(each).eval(), tokens)
        _check_same(wanted, answers, "which process reads what: leave nothing behind but what total_over_batches gives")
    for first, second in pairwise(heads):
        assert all_equal(_state(first), _state(second)), "two processes of one run fit different heads"


def fit_ignored(subject: Subject) -> None:
    """Wholly unlabelled maps, and padding under a head that is not trained, change nothing of a fit."""
    head = subject.build()
    if not head.fitted:
        return
    tokens, targets = subject.example(head, images=IMAGES)
    wanted = _answers(subject, tokens, (tokens, targets))
    if not head.trained:  # convolutions with random weights may look at the zeros beyond the image's border
        _check_same(wanted, _answers(subject, tokens, (fill_padding(tokens), targets)), "what lies in padding")
    nothing = subject.task.nothing(CANVAS) if subject.task.mapped else None
    if nothing is not None:  # elsewhere an image without annotation is an answer of its own: it shows no object
        empty = (changed(tokens, lambda x: 3 - 2 * x), [nothing.to(subject.device)] * IMAGES)
        _check_same(wanted, _answers(subject, tokens, (tokens, targets), empty), "images without annotation")


def fit_again(subject: Subject) -> None:
    """A second fit replaces the first and does not add to it."""
    head = subject.build()
    if not head.fitted:
        return
    whole = subject.example(head, images=IMAGES)
    first, second = _take(whole, [0, 1, 2]), _take(whole, [3, 4, 5])
    fit(head, first)
    fit(head, second)
    again = outputs(perturb(head).eval(), whole[0])
    _check_same(_answers(subject, whole[0], second), again, "an earlier fit")


def fit_degenerate(subject: Subject) -> None:
    """One image, one class, constant, tiny or huge tokens give finite outputs; no images raise ArgusError."""
    head = subject.build()
    if not head.fitted:
        return
    try:
        head.fit([])
    except ArgusError:
        pass
    else:
        raise AssertionError("a fit on no images passes: raise ArgusError, as total_over_batches does")
    for case, example, refusable in _degenerate(subject, head):
        _check_finite(subject, case, example, refusable)


def _degenerate(subject: Subject, head: Head) -> Iterator[tuple[str, Example, bool]]:
    """Names of data sets that leave much open, the data sets, and whether a head may refuse them."""
    tokens, targets = subject.example(head, images=IMAGES)
    yield "one image", _take((tokens, targets), [0]), True
    yield "one image, three times", _take((tokens, targets), [0, 0, 0]), True
    yield "constant tokens", (changed(tokens, torch.ones_like), targets), False
    for scale in (1e-4, 1e4):
        yield f"tokens of scale {scale:g}", (changed(tokens, _times(scale)), targets), False
    nothing = subject.task.nothing(CANVAS)
    if nothing is not None:
        nothing = nothing.to(subject.device)
        yield "an image without annotation", (tokens, [*targets[1:], nothing]), False
        yield "no annotation", (tokens, [nothing] * IMAGES), True
    classes = getattr(subject.task, "classes", ())
    if classes:
        task = subject.task.model_copy(update={"classes": classes[:1]})
        layers, generator = head.needs.resolve(subject.info).layers, torch.Generator().manual_seed(0)
        yield "a single class", task.example(subject.info, layers, CANVAS, IMAGES, generator), True


def _check_finite(subject: Subject, case: str, example: Example, refusable: bool) -> None:
    head, tokens = subject.build(), example[0]
    try:
        fit(head, example)
    except ArgusError as error:
        assert refusable, f"{case}: fit raises {error}"
        return
    bad = [name for name, x in head.state_dict().items() if not x.isfinite().all()]
    assert not bad, f"{case}: {bad} are not finite after fit"
    assert all(x.isfinite().all() for x in outputs(head.eval(), tokens)), f"{case}: outputs are not finite after fit"
    for prediction in predict(head, tokens):
        try:
            subject.task.check(prediction, tokens.size)
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


def _answers(subject: Subject, tokens: Tokens, *batches: Example) -> list[Tensor]:
    """The outputs for ``tokens`` of a head that is fitted on ``batches``, with every parameter moved."""
    head = subject.build()
    fit(head, *batches)
    return outputs(perturb(head).eval(), tokens)


def _take(example: Example, items: list[int]) -> Example:
    tokens, targets = example
    return tokens[items], [targets[item] for item in items]


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * factor


def _state(head: Head) -> list[Tensor]:
    return list(head.state_dict().values())


def _check_same(wanted: list[Tensor], found: list[Tensor], cause: str) -> None:
    difference = largest_difference(wanted, found)
    assert difference <= SAME, f"a fit depends on {cause}: outputs differ by {difference:.1e}"
