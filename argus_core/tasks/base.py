"""What a task is: the numbers of a data set, and the way from a head's output to a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import AfterValidator, BaseModel, ConfigDict
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault, is_text
from argus_core.tasks.calibration import Calibration, Outcomes
from argus_core.tasks.metric import Metric
from argus_core.tasks.result import PlainResult, Result
from argus_core.tokens import FeatureInfo, Tokens


def _check_distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Raise ArgusError for class names that are missing or repeated."""
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated or not classes:
        fault = f"{repeated[:5]} occur more than once" if repeated else "there are none"
        raise ArgusError(f"a task needs one or more distinct class names; {fault}")
    return classes


ClassNames = Annotated[tuple[str, ...], AfterValidator(_check_distinct)]
"""One or more distinct names of classes."""


class Task(BaseModel, ABC):
    """What is predicted: target, loss, decode, metric. Fields are the data set's numbers.

    ``truth`` is an annotation in image pixels as a data set gives it; ``target`` the same on the canvas, as
    tensors; ``prediction`` a head's decoded answer, first on the canvas, then (``to_image``) in image pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    mapped: ClassVar[bool] = False
    """Whether a truth is a map of its whole image, so that reading all of them takes long."""
    floor: ClassVar[str] = ""
    """A head solved in closed form that every comparison includes, by its registered name; empty if there is none."""

    def model_post_init(self, context: Any, /) -> None:
        """Raise ArgusError for a class name that no file can hold, such as that of a folder whose name is not UTF-8."""
        for name in getattr(self, "classes", ()):
            if not is_text(name):
                raise ArgusError(f"class name {name!r} is not valid UTF-8; rename the class, or its folder")

    # Training

    @abstractmethod
    def target(self, truth: Any, placement: Placement) -> Any:
        """The truth on the canvas of ``placement``; an object with ``.to(device)``."""

    def nothing(self, canvas: tuple[int, int]) -> Any:
        """The target of an image in which nothing is annotated; None if every image must have an annotation."""
        return None

    def loss(self, output: Any, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Named scalar terms whose sum is the objective, for heads without a loss of their own."""
        raise NotImplementedError(
            f"{self.name} has no loss common to all heads: override {type(self).__name__} or Head.loss"
        )

    # Predictions

    @abstractmethod
    def decode(self, output: Any, canvas: tuple[int, int]) -> list[Any]:
        """One prediction per image in canvas pixels; ``canvas`` is (height, width)."""

    @abstractmethod
    def check(self, prediction: Any, canvas: tuple[int, int]) -> None:
        """Raise AssertionError, with a reason, if a canvas prediction is malformed."""

    def inside(self, prediction: Any, extent: tuple[int, int]) -> None:
        """Raise AssertionError if a canvas prediction claims something in padding, beyond ``extent``.

        Dense maps may hold anything there: ``to_image`` cuts it off.
        """

    @abstractmethod
    def to_image(self, prediction: Any, placement: Placement) -> Any:
        """Map a canvas prediction to image pixels and clip it to the image."""

    def merge(self, predictions: Sequence[Any], placements: Sequence[Placement]) -> Any:
        """One prediction in image pixels from several passes over the image, such as windows or mirrored ones.

        Raises ArgusError for several passes unless a task knows how to merge them.
        """
        if len(predictions) > 1:
            raise ArgusError(f"predictions of task {self.name!r} cannot be merged over several passes of an image")
        return self.to_image(predictions[0], placements[0])

    def result(self, prediction: Any, image: npt.NDArray[np.uint8]) -> Result:
        """What a user gets for an image prediction: plain data and a picture.

        Keyword-only parameters of an override are options of the question, such as a threshold.
        """
        return PlainResult(image, prediction)

    @abstractmethod
    def metric(self) -> Metric:
        """A fresh metric for this task; keyword-only parameters of an override are options of the scoring."""

    # Confidences

    def calibrated(self, prediction: Any, calibration: Calibration) -> Any:
        """A canvas prediction whose confidences a head's calibration turned into probabilities of being right."""
        return prediction

    def outcomes(self, prediction: Any, target: Any, image: int) -> Outcomes | None:
        """The confidences of a canvas prediction, with whether they were right, on the CPU; None if it has none.

        ``image`` is a number that tells images apart.
        """
        return None

    # Checks of a data set

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What is wrong with the annotation of an image of ``size`` (height, width); empty if nothing is."""
        return ""

    def summary(self, truths: Iterable[Any]) -> dict[str, Any]:
        """Counts over a data set's annotations, as plain data, for `arena data check`."""
        return {}

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """What is wrong with all annotations of a split together, from its ``summary``; ``where`` is left empty.

        ``learning`` is false for a split that is only scored.
        """
        return []

    def unseen(self, summary: Mapping[str, Any]) -> list[str]:
        """The classes without any annotation in a split, from its ``summary``."""
        return []

    # Fixtures of the conformance kit

    @abstractmethod
    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[Any]]:
        """Random tokens with planted, learnable targets: the data that every conformance check runs on."""

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Any:
        """A random annotation of an image of ``size`` (height, width), as a data set gives it; None: none is offered.

        With ``perfect`` it lets the conformance kit check target, ``to_image``, metric and result.
        """
        return None

    def perfect(self, truth: Any, placement: Placement) -> Any:
        """The canvas prediction of a faultless head for ``truth``; None: none is offered.

        For a task that compares images, a tuple with one for each image of the sample, all of them at ``placement``.
        """
        return None

    @classmethod
    @abstractmethod
    def small(cls) -> Task:
        """A small instance for checks."""


def map_fault(truth: Any, size: tuple[int, int], kinds: str, article: str, name: str = "it") -> str:
    """Why a map (h, w), of a dtype of ``kinds`` that ``article`` names, does not fit an image of ``size``, if so."""
    if not isinstance(truth, np.ndarray) or truth.ndim != 2 or truth.dtype.kind not in kinds:
        kind = f"{truth.dtype} of shape {truth.shape}" if isinstance(truth, np.ndarray) else type(truth).__name__
        return f"it is {kind}, not {article} array of shape (height, width)"
    if truth.shape == size:
        return ""
    text = "{} is {}x{} (height x width), the image {}x{}".format(name, *truth.shape, *size)
    if truth.shape == size[::-1]:
        text += "; one of the two files has an EXIF orientation that the other lacks: save both upright"
    return text
