"""The check of what a head costs where an image holds very many objects."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.testing.heads.subject import Subject, fit, float_tensors, mapped, run, total, trainable

CANVAS = (640, 640)
BOXES = 2000
SECONDS, BYTES = 20, 1e9
"""For one image: processor time, and memory beside the head's output."""


def many_objects(subject: Subject) -> None:
    """With 2,000 boxes on 640 x 640 pixels, fit and loss with its gradients take under 20 s and 1 GB."""
    if not isinstance(subject.task, Detect):
        return
    head = subject.build()
    tokens, _ = subject.example(head, CANVAS, 1)
    targets = [_boxes(len(subject.task.classes))]
    if head.fitted:
        with Costs("fit"):
            fit(head, (tokens, targets))
    if head.trained:
        with torch.no_grad():
            output = mapped(run(head, tokens), _leaf)
        with Costs("the loss"):
            sources = [*float_tensors(output), *trainable(head).values()]
            torch.autograd.grad(total(head.loss(output, targets)), sources, allow_unused=True)


def _boxes(classes: int) -> BoxTarget:
    """Boxes of 4 to 64 pixels everywhere, a tenth of them crowds."""
    generator = torch.Generator().manual_seed(0)
    sides = 4 * 16 ** torch.rand(BOXES, 2, generator=generator)
    start = torch.rand(BOXES, 2, generator=generator) * (torch.tensor(CANVAS).flip(0) - sides)
    labels = torch.randint(classes, (BOXES,), generator=generator)
    return BoxTarget(torch.cat([start, start + sides], dim=1), labels, torch.arange(BOXES) % 10 == 0)


def _leaf(value: Tensor) -> Tensor:
    """The same numbers without the graph that computed them, as a leaf with a gradient."""
    return value.detach().clone().requires_grad_() if value.is_floating_point() else value


class Costs(TorchDispatchMode):
    """AssertionError at its end if what ran inside took too long, or as soon as its tensors take too much memory.

    ``peak`` is the most bytes that tensors made inside took at once. Memory of libraries beside torch is not seen.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.now = self.peak = 0
        self.sizes: dict[int, int] = {}

    def __enter__(self) -> Costs:
        self.start = time.process_time()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        took = time.process_time() - self.start
        if error[0] is None:
            assert took < SECONDS, f"{self.what} of {BOXES} boxes takes {took:.0f} s, more than {SECONDS} s"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._add(value)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.sizes:
            return
        self.sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)
        assert self.now < BYTES, (
            f"{self.what} of {BOXES} boxes holds {self.now / 1e9:.1f} GB: more than {BYTES / 1e9:.0f} GB; "
            "compare boxes with what is near them, or a part of them at a time"
        )

    def _forget(self, key: int) -> None:
        self.now -= self.sizes.pop(key)
