"""The head under test: fresh instances of it, data for it, and what its outputs hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from argus_core.head import Head
from argus_core.registry import HEADS
from argus_core.saving.build import head_class, make_head
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo, Tokens

INFO = FeatureInfo.vit(channels=48)
"""A plain transformer of 12 blocks, 16-pixel patches and 5 prefix tokens, narrow enough for a CPU."""
Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Subject:
    """A head class with the options it is tested with, on the tokens that ``info`` announces."""

    cls: type[Head]
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    info: FeatureInfo = INFO

    @classmethod
    def of(cls, head: str | type[Head], options: Mapping[str, Any] | None = None) -> Subject:
        """The subject for a registered name or a class."""
        if isinstance(head, str):
            return cls(head_class(head), HEADS.find(head).name, options or {})
        return cls(head, head.__name__, options or {})

    @property
    def task(self) -> Task:
        """A small instance of the task that the head solves."""
        return self.cls.solves.small()

    def build(self, seed: int = 0) -> Head:
        """A new instance as a user gets it, in training mode; ``seed`` sets the global random state before."""
        torch.manual_seed(seed)
        return make_head(self.cls, self.name, self.info, self.task, self.options)

    def stirred(self, seed: int = 0) -> Head:
        """A new instance in eval mode, fitted, with every parameter moved: a branch that starts at zero hides."""
        head = self.build(seed)
        generator = torch.Generator().manual_seed(seed)
        if head.fitted:
            tokens, targets = self.example(head, (64, 96), 4)
            head.fit([(tokens.features(head.needs), targets)])
        with torch.no_grad():
            for parameter in head.parameters():
                fan = parameter[0].numel() if parameter.ndim > 1 else 100
                parameter.add_(torch.randn(parameter.shape, generator=generator) / fan**0.5)
        return head.eval()

    def example(self, head: Head, canvas: Size, images: int, seed: int = 0) -> tuple[Tokens, list[Any]]:
        """Tokens of the layers that ``head`` reads with learnable targets; every other image has padding."""
        generator = torch.Generator().manual_seed(seed)
        return self.task.example(self.info, head.needs.resolve(self.info).layers, canvas, images, generator)


def run(head: Head, tokens: Tokens) -> Any:
    """The head's output for its own view of the tokens."""
    return head(tokens.features(head.needs))


@torch.no_grad()
def outputs(head: Head, tokens: Tokens) -> list[Tensor]:
    """The floating-point tensors of the head's output, in order."""
    found = tensors_of(run(head, tokens))
    assert found, "the output holds no tensor: return tensors, or dataclasses, sequences or mappings of tensors"
    return found


def tensors_of(value: Any) -> list[Tensor]:
    """Every floating-point tensor in nested sequences, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if is_dataclass(value):
        value = [getattr(value, each.name) for each in fields(value)]
    elif isinstance(value, Mapping):
        value = list(value.values())
    # A tuple of types: this runs inside graphs, and PyTorch 2.9 cannot compile a union.
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, (list, tuple)) else []


def with_maps(tokens: Tokens, maps: Mapping[int, Tensor]) -> Tokens:
    """The same tokens with other maps."""
    return replace(tokens, maps=maps)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The objective: the sum of a loss's terms."""
    assert terms, "the loss has no terms: return a dictionary of named scalars"
    return torch.stack(list(terms.values())).sum()


def item(many: Tensor, one: Tensor, index: int) -> Tensor:
    """The part of a batch's output that belongs to image ``index``, shaped like ``one``, an output for one image."""
    differing = [axis for axis, (a, b) in enumerate(zip(many.shape, one.shape, strict=True)) if a != b]
    if not differing:
        return many
    assert len(differing) == 1, f"an output is {tuple(one.shape)} for one image, {tuple(many.shape)} for several"
    length = one.shape[differing[0]]
    return many.narrow(differing[0], index * length, length)


def all_equal(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether two outputs are the same bit for bit."""
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The largest difference of two outputs, relative to the largest value (at least 1) of the first."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.numel()]
    return max((float((a - b).abs().max() / a.abs().max().clamp(min=1)) for a, b in pairs), default=0.0)
