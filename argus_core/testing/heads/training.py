"""Checks of training: loss, gradients, learning, reduced precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from argus_core.head import Head
from argus_core.testing.heads.subject import CANVAS, Example, Subject, fit, run, total, trainable
from argus_core.tokens import Tokens

STEPS = 60
LEAST_LR = 1e-3


def loss(subject: Subject) -> None:
    """Named finite scalars with finite gradients, also where some or all images have no annotation."""
    head = subject.build()
    if not head.trained:
        return
    tokens, targets = subject.example(head)
    nothing = subject.task.nothing(CANVAS)
    _check_loss(head, tokens, targets, "with annotations")
    if nothing is not None:
        nothing = nothing.to(subject.device)
        _check_loss(head, tokens, [targets[0], nothing], "with one image without annotations")
        _check_loss(head, tokens, [nothing, nothing], "without any annotation")


def _check_loss(head: Head, tokens: Tokens, targets: Sequence[Any], when: str) -> None:
    terms = head.loss(run(head, tokens), targets)
    for name, term in terms.items():
        assert term.ndim == 0, f"loss term {name!r} is {tuple(term.shape)}, not a scalar"
        assert term.isfinite(), f"loss term {name!r} is {term.item()} {when}"
    _check_gradients_finite(head, total(terms), when)


def _check_gradients_finite(head: Head, objective: Tensor, when: str) -> None:
    parameters = trainable(head)
    if not parameters:
        return
    assert objective.requires_grad, f"the loss is cut off from the parameters {when}"
    head.zero_grad()
    objective.backward()
    bad = [name for name, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()]
    assert not bad, f"the gradients of {bad} are not finite {when}"


def gradients(subject: Subject) -> None:
    """Every trainable parameter takes part in the loss."""
    head, tokens, targets = subject.ready((128, 160), 4)
    parameters = trainable(head)
    if not parameters:
        return
    total(head.loss(run(head.train(), tokens), targets)).backward()
    idle = [name for name, p in parameters.items() if p.grad is None or not p.grad.any()]
    assert not idle, f"no gradient reaches {idle}: use them, or set requires_grad to False"


def learns(subject: Subject) -> None:
    """Fitted or within 60 steps on one batch, at the head's own rate (at least 1e-3), the loss falls to half."""
    head = subject.build()
    tokens, targets = subject.example(head)
    values = [total(head.loss(run(head, tokens), targets)).item()] if head.trained else []
    if head.fitted:
        _check_moved(head, (tokens, targets))
    if not head.trained:
        return
    rate = max(head.recipe.lr, LEAST_LR)
    optimizer = torch.optim.AdamW(trainable(head).values(), rate, weight_decay=head.recipe.weight_decay, fused=True)
    while len(values) <= STEPS + 1 and values[-1] > values[0] / 2:
        objective = total(head.loss(run(head, tokens), targets))
        values.append(objective.item())
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
    assert values[-1] <= values[0] / 2, (
        f"{STEPS} steps at {rate} moved the loss from {values[0]:.3g} to {values[-1]:.3g}"
    )


def _check_moved(head: Head, example: Example) -> None:
    before = {key: value.clone() for key, value in head.state_dict().items()}
    fit(head, example)
    after = head.state_dict()
    moved = [key for key in after if after[key].shape != before[key].shape or not torch.equal(after[key], before[key])]
    assert moved, "fit changes nothing"


def bfloat16(subject: Subject) -> None:
    """Under bfloat16 autocast the loss and its gradients stay finite and predictions well formed."""
    head, tokens, targets = subject.ready()
    with torch.autocast(torch.device(subject.device).type, torch.bfloat16):
        output = run(head.train(), tokens)
        objective = total(head.loss(output, targets)) if head.trained else torch.zeros(())
    assert objective.isfinite(), f"the loss is {objective.item()} under bfloat16 autocast"
    _check_gradients_finite(head, objective, "under bfloat16 autocast")
    for prediction in head.eval().decode(output, tokens.size):
        subject.task.check(prediction, tokens.size)
