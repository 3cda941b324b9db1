"""The head under test: new instances of it, data for it, and the tensors of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.registry import HEADS
from argus_core.saving.build import head_class, make_head
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo, Tokens, cell_mask

INFO = FeatureInfo.vit(channels=48)
"""A plain transformer of 12 blocks, 16-pixel patches and 5 prefix tokens, narrow enough for a CPU."""
CANVAS = (64, 96)
Size = tuple[int, int]
M = TypeVar("M", bound=nn.Module)
Example = tuple[Tokens, list[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A head class with the options it is tested with, on the tokens that ``info`` announces.

    Its heads and examples are on ``device``; inside a ``FarDevice`` that may be ``FAR``.
    """

    cls: type[Head]
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    info: FeatureInfo = INFO
    device: str = "cpu"

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
        return make_head(self.cls, self.name, self.info, self.task, self.options).to(self.device)

    def perturbed(self, seed: int = 0) -> Head:
        """A new instance in eval mode, fitted, with every parameter moved: a branch that starts at zero hides."""
        head = self.build(seed)
        if head.fitted:
            fit(head, self.example(head, images=4))
        return perturb(head, seed).eval()

    def example(self, head: Head, canvas: Size = CANVAS, images: int = 2) -> Example:
        """Tokens of the layers that ``head`` reads with learnable targets; every other image has padding."""
        generator = torch.Generator().manual_seed(0)
        layers = head.needs.resolve(self.info).layers
        tokens, targets = self.task.example(self.info, layers, canvas, images, generator)
        return tokens.to(self.device), [target.to(self.device) for target in targets]

    def ready(self, canvas: Size = CANVAS, images: int = 2) -> tuple[Head, Tokens, list[Any]]:
        """A perturbed head, and tokens and targets for it."""
        head = self.perturbed()
        return head, *self.example(head, canvas, images)


@torch.no_grad()
def perturb(module: M, seed: int = 0) -> M:
    """Move every parameter of a module by noise, about as large as its outputs, and return it."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 100
        noise = torch.randn(parameter.shape, generator=generator) / fan**0.5
        parameter.add_(noise.to(parameter.device))
    return module


def run(head: Head, tokens: Tokens) -> Any:
    """The head's output for its own view of the tokens."""
    return head(tokens.features(head.needs))


def fit(head: Head, *batches: Example) -> None:
    """Fit a head in closed form."""
    head.fit([(tokens.features(head.needs), targets) for tokens, targets in batches])


@torch.no_grad()
def predict(head: Head, tokens: Tokens) -> list[Any]:
    """The head's predictions, one per image."""
    return head.decode(run(head, tokens), tokens.size)


@torch.no_grad()
def outputs(head: Head, tokens: Tokens) -> list[Tensor]:
    """The floating-point tensors of the head's output, in order."""
    tensors = float_tensors(run(head, tokens))
    assert tensors, "the output holds no tensor: return tensors, or dataclasses, sequences or mappings of tensors"
    return tensors


def float_tensors(value: Any) -> list[Tensor]:
    """Every floating-point tensor in nested sequences, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, Mapping):
        value = list(value.values())
    # A tuple of types: this runs inside graphs, and PyTorch 2.9 cannot compile a union.
    return [tensor for part in value for tensor in float_tensors(part)] if isinstance(value, (list, tuple)) else []


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nested sequences, mappings and dataclasses with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: mapped(getattr(value, field.name), change) for field in fields(value) if field.init}
        return replace(value, **parts)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    return type(value)(mapped(item, change) for item in value) if type(value) in (list, tuple) else value


def with_maps(tokens: Tokens, maps: Mapping[int, Tensor]) -> Tokens:
    """The same tokens with other maps."""
    return replace(tokens, maps=maps)


def image_cells(tokens: Tokens, layer: int) -> Tensor:
    """(B, 1, h, w) bool: which cells of a layer hold image."""
    maps = tokens.maps[layer]
    return cell_mask(tokens.extent, tokens.info.strides[layer], (maps.shape[2], maps.shape[3]))


def changed(tokens: Tokens, change: Callable[[Tensor], Tensor]) -> Tokens:
    """The same tokens with every one of an image changed; padding stays zero."""
    maps = {layer: change(x) * image_cells(tokens, layer) for layer, x in tokens.maps.items()}
    return replace(tokens, maps=maps, prefix={layer: change(x) for layer, x in tokens.prefix.items()})


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The objective: the sum of a loss's terms."""
    assert terms, "the loss has no terms: return a dictionary of named scalars"
    return torch.stack(list(terms.values())).sum()


def trainable(head: Head) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: parameter for name, parameter in head.named_parameters() if parameter.requires_grad}
