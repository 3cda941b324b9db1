"""The contract of a head: it states which features it needs, and maps them to an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.recipe import Recipe
from argus_core.tasks import Calibration, Task
from argus_core.tokens import FeatureInfo, Features, Needs

__all__ = ["Head"]


class _Missing:
    """The value of ``solves`` in a head class that does not set it: reading it raises an error with a remedy."""

    def __get__(self, instance: object, owner: type) -> type[Task]:
        raise ArgusError(
            f"{owner.__name__} does not say which task it solves: add `solves = Segment`, or another Task class, to it"
        )


class Head(nn.Module, ABC):
    """A small network on frozen features. Options are the keyword-only parameters of ``__init__``.

    A subclass must define ``solves`` and ``forward``. ``needs`` may be set on the class, or in ``__init__`` if it
    depends on options.
    """

    solves: ClassVar[type[Task]] = cast("type[Task]", _Missing())
    needs: Needs = Needs()
    recipe: ClassVar[Recipe] = Recipe()
    name: str = ""
    """The registered name; ``build_head`` sets it and ``options``, which a checkpoint needs to build the head again."""
    options: dict[str, Any]
    canvas: Canvas | None = None
    """The canvas it was trained on, if known; ``load_head`` sets it, and it may be changed."""
    backbone_sha256: str | None = None
    """The identity of the backbone it was trained on, if known; set by ``load_head``."""
    calibration: Calibration | None = None
    """What is applied to the confidences of its decoded answers, if anything; ``load_head`` sets it, and it may be
    changed."""
    record: dict[str, Any]
    """How it was trained and scored, and its terms: plain JSON values that are saved with it; set by ``load_head``."""

    def __init__(self, info: FeatureInfo, task: Task) -> None:
        super().__init__()
        self.info = info
        self.task = task
        self.record = {}
        self.options = {}

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
        """Learn in closed form from features and targets of the training split, before any gradient step.

        It is only called if it is overridden. ``batches`` can be iterated several times, always in the same order;
        targets may be kept, features only as copies.
        """
        raise NotImplementedError(f"head {self.name!r} is not fitted")

    @property
    def fitted(self) -> bool:
        """Whether the head overrides ``fit``."""
        return type(self).fit is not Head.fit

    @property
    def trained(self) -> bool:
        """Whether the head has parameters that are trained by gradients."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Resize buffers whose size depends on the data, before the weights ``state`` are loaded."""

    @classmethod
    def restore_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options to rebuild a saved head, without those of files whose content its buffers already hold."""
        return dict(options)

    def notes(self) -> list[str]:
        """What readers of its results must know, such as stand-in data; it becomes part of the run record."""
        return []
