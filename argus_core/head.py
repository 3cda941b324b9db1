"""The contract of a head: state what you need, map features to an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.recipe import Recipe
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo, Features, Needs

__all__ = ["Head"]


class _Unsaid:
    """Stands where a head class must say which task it solves, so that its author reads what is missing."""

    def __get__(self, instance: object, owner: type) -> type[Task]:
        raise ArgusError(
            f"{owner.__name__} does not say which task it solves: add `solves = Segment`, or another Task class, to it"
        )


class Head(nn.Module, ABC):
    """A small network on frozen features. Options are the keyword-only parameters of ``__init__``.

    ``forward`` is all that must be written. ``needs`` may be set on the class or, from an option, in ``__init__``.
    """

    solves: ClassVar[type[Task]] = cast("type[Task]", _Unsaid())
    needs: Needs = Needs()
    recipe: ClassVar[Recipe] = Recipe()

    def __init__(self, info: FeatureInfo, task: Task) -> None:
        super().__init__()
        self.info = info
        self.task = task
        # Set by ``load_head``: what the head was trained on, where that is known.
        self.canvas: Canvas | None = None
        # Set by ``load_head``: the identity of the backbone that gave it tokens then, where that is known.
        self.backbone_sha256: str | None = None
        # Set by ``load_head``: how it was trained and scored, and its terms; plain JSON values that travel with it.
        self.record: dict[str, Any] = {}
        # Set by ``build_head``: what a checkpoint needs to build the same head again.
        self.name = ""
        self.options: dict[str, Any] = {}

    @abstractmethod
    def forward(self, features: Features) -> Any:
        """Map features to an output that ``loss`` and ``decode`` understand."""

    def loss(self, output: Any, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Named scalar terms; their sum is minimised."""
        return self.task.loss(output, targets)

    def decode(self, output: Any, canvas: tuple[int, int]) -> list[Any]:
        """One prediction per image in canvas pixels; ``canvas`` is (height, width)."""
        return self.task.decode(output, canvas)

    def fit(self, batches: Iterable[tuple[Features, Sequence[Any]]]) -> None:
        """Solve or remember in closed form, from features and targets of the training split; before any gradient step.

        ``batches`` may be gone through several times, always in one order; targets may be kept, features must be
        copied to be kept. Override it to be called.
        """
        raise NotImplementedError(f"head {self.name!r} is not fitted")

    @property
    def fitted(self) -> bool:
        """Whether the head overrides ``fit``."""
        return type(self).fit is not Head.fit

    @property
    def trained(self) -> bool:
        """Whether the head has parameters that gradients move."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Reshape buffers whose size depends on the data, before the weights ``state`` are loaded."""

    @classmethod
    def restore_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that rebuild a saved head, whose buffers already hold what files gave when it was made."""
        return dict(options)

    def notes(self) -> list[str]:
        """What a reader of the results must know of this instance, such as stand-in data; goes into the run record."""
        return []
