"""The check of what a head costs where an image holds very many objects."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from argus_core.head import Head
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.testing.heads.subject import Subject, run, tensors_of, total

CANVAS = (640, 640)
BOXES = 2000
SECONDS, BYTES = 20, 1e9
"""Of one image: processor time, and memory beside the head's output."""


def many_objects(subject: Subject) -> None:
    """With 2,000 boxes on 640 x 640 pixels, fit and loss with its gradients take under 20 s and 1 GB."""
    if not isinstance(subject.task, Detect):
        return
    head = subject.build()
    tokens, _ = subject.example(head, CANVAS, 1)
    targets = [_boxes(len(subject.task.classes))]
    if head.fitted:
        with Costs("fit"):
            head.fit([(tokens.features(head.needs), targets)])
    if head.trained:
        with torch.no_grad():
            output = run(head, tokens)
        output = _leaves(output)
        with Costs("the loss"):
            _gradients(head, output, targets)


def _gradients(head: Head, output: Any, targets: list[BoxTarget]) -> None:
    wanted = [*tensors_of(output), *(p for p in head.parameters() if p.requires_grad)]
    torch.autograd.grad(total(head.loss(output, targets)), wanted, allow_unused=True)


def _boxes(classes: int) -> BoxTarget:
    """Boxes of 4 to 64 pixels everywhere, a tenth of them crowds."""
    generator = torch.Generator().manual_seed(0)
    sides = 4 * 16 ** torch.rand(BOXES, 2, generator=generator)
    start = torch.rand(BOXES, 2, generator=generator) * (torch.tensor(CANVAS).flip(0) - sides)
    labels = torch.randint(classes, (BOXES,), generator=generator)
    return BoxTarget(torch.cat([start, start + sides], dim=1), labels, torch.arange(BOXES) % 10 == 0)


def _leaves(value: Any) -> Any:
    """The same output, cut off from what made it: each floating-point tensor a leaf that wants a gradient."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_() if value.is_floating_point() else value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _leaves(getattr(value, one.name)) for one in fields(value) if one.init})
    if isinstance(value, Mapping):
        return {key: _leaves(one) for key, one in value.items()}
    return type(value)(_leaves(one) for one in value) if type(value) in (list, tuple) else value


class Costs(TorchDispatchMode):
    """Measures what is done inside: AssertionError at its end, or as soon as too much memory is held.

    ``peak`` is the most bytes that tensors made inside held at once. What libraries beside torch hold is not seen.
    """

    def __init__(self, what: str, seconds: float = SECONDS, limit: float = BYTES) -> None:
        super().__init__()
        self.what, self.seconds, self.limit = what, seconds, limit
        self.now = self.peak = 0
        self.known: dict[int, int] = {}

    def __enter__(self) -> Costs:
        self.began = time.process_time()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        took = time.process_time() - self.began
        if error[0] is None:
            assert took < self.seconds, f"{self.what} of {BOXES} boxes takes {took:.0f} s, more than {self.seconds} s"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, Tensor):
                self._note(one)
        return found

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.known:
            return
        self.known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)
        assert self.now < self.limit, (
            f"{self.what} of {BOXES} boxes holds {self.now / 1e9:.1f} GB: more than {self.limit / 1e9:.0f} GB; "
            "compare boxes with what is near them, or a part of them at a time"
        )

    def _forget(self, key: int) -> None:
        self.now -= self.known.pop(key)
