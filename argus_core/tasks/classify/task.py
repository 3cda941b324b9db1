"""The task of naming the class of an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.tasks.base import ClassNames, Task
from argus_core.tasks.calibration import Calibration, Outcomes, best_of_classes, log_shares
from argus_core.tasks.classify.example import draw_tokens
from argus_core.tasks.classify.metric import Accuracy
from argus_core.tasks.classify.result import ClassResult
from argus_core.tasks.classify.values import Classes, ClassTarget
from argus_core.tokens import FeatureInfo, Tokens

ROUNDING = 1e-3
"""By how much the sum of probabilities may differ from 1."""


class Classify(Task):
    """Tell which of ``classes`` an image shows; scored by accuracy. The truth is a class index."""

    name: ClassVar[str] = "classify"
    floor: ClassVar[str] = "classify.ridge"
    classes: ClassNames

    def target(self, truth: int, placement: Placement) -> ClassTarget:
        """The class; raises ArgusError for anything but the index of a class."""
        if fault := self.fault(truth, placement.image_size):
            raise ArgusError(f"an image's class cannot be used: {fault}")
        return ClassTarget(torch.tensor(int(truth)))

    def loss(self, output: Tensor, targets: Sequence[ClassTarget]) -> dict[str, Tensor]:
        """Cross-entropy of logits (B, K), the mean over the batch."""
        labels = torch.stack([target.label for target in targets])
        return {"cross_entropy": F.cross_entropy(output.float(), labels)}

    def decode(self, output: Tensor, canvas: tuple[int, int]) -> list[Classes]:
        """The probabilities that logits (B, K) stand for."""
        return [Classes(scores) for scores in output.float().softmax(dim=1)]

    def to_image(self, prediction: Classes, placement: Placement) -> Classes:
        """The same scores, on the CPU."""
        return Classes(prediction.scores.cpu())

    def merge(self, predictions: Sequence[Classes], placements: Sequence[Placement]) -> Classes:
        """The mean of the passes' scores."""
        return Classes(torch.stack([prediction.scores for prediction in predictions]).mean(dim=0).cpu())

    def calibrated(self, prediction: Classes, calibration: Calibration) -> Classes:
        """Calibrated probabilities of the classes; other scores, such as cosines, stay as they are."""
        return Classes(calibration.classes(prediction.scores)) if _are_shares(prediction.scores) else prediction

    def outcomes(self, prediction: Classes, target: ClassTarget, image: int) -> Outcomes | None:
        """The probabilities of the classes; None for other scores, such as cosines."""
        if not _are_shares(prediction.scores):
            return None
        return best_of_classes(log_shares(prediction.scores)[None], target.label[None], image)

    def result(self, prediction: Classes, image: npt.NDArray[np.uint8], *, top_k: int = 5) -> ClassResult:
        """The ``top_k`` best classes by name, at least one, with scores and margin."""
        if top_k < 1:
            raise ArgusError(f"top_k is how many classes to name, 1 or more, not {top_k}")
        return ClassResult(image, prediction, self.classes, top_k)

    def metric(self) -> Accuracy:
        """Top-1, top-5 and per-class accuracy."""
        return Accuracy(self.classes)

    def check(self, prediction: Classes, canvas: tuple[int, int]) -> None:
        """A finite score for every class."""
        scores = prediction.scores
        assert scores.shape == (len(self.classes),), f"scores are {tuple(scores.shape)} for {len(self.classes)} classes"
        assert scores.is_floating_point(), f"scores are {scores.dtype}, not floating-point numbers"
        assert scores.isfinite().all(), "scores are not finite"

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """Why the truth is not the index of a class; empty if it is."""
        whole = isinstance(truth, int | np.integer) and not isinstance(truth, bool)
        if whole and 0 <= truth < len(self.classes):
            return ""
        return f"label {truth!r} is not the index of one of {len(self.classes)} classes"

    def summary(self, truths: Iterable[Any]) -> dict[str, Any]:
        """Images per class, and the classes that have none."""
        labels = Counter(int(truth) for truth in truths if not self.fault(truth, (1, 1)))
        count = {name: labels[index] for index, name in enumerate(self.classes)}
        return {"images_per_class": count, "classes_without_images": [name for name, n in count.items() if not n]}

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """A single class, which leaves nothing to learn."""
        shown = [name for name, count in summary["images_per_class"].items() if count]
        if len(shown) > 1 or not learning:
            return []
        return [Fault("", f"all images show {shown[0]!r}: there is nothing to tell apart", wrong=True)]

    def unseen(self, summary: Mapping[str, Any]) -> list[str]:
        """Classes without images."""
        return list(summary["classes_without_images"])

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[ClassTarget]]:
        """CLS tokens and cells that carry their class's vector; half of the images have padding."""
        tokens, labels = draw_tokens(info, layers, canvas, images, len(self.classes), generator)
        return tokens, [ClassTarget(label) for label in labels]

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> int:
        """Any class."""
        return int(torch.randint(len(self.classes), (), generator=generator))

    def perfect(self, truth: int, placement: Placement) -> Classes:
        """A score of 1 for the class."""
        return Classes(F.one_hot(self.target(truth, placement).label, len(self.classes)).float())

    @classmethod
    def small(cls) -> Classify:
        """Three classes."""
        return cls(classes=("disc", "ring", "star"))


def _are_shares(scores: Tensor) -> bool:
    return bool((scores.min() >= 0) & ((scores.sum() - 1).abs() <= ROUNDING))  # waits for the device once
