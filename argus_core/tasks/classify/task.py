"""Image classification: one of several named classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.tasks.base import Metric, Task
from argus_core.tasks.classify.values import Classes, ClassTarget
from argus_core.tokens import FeatureInfo, Tokens, cell_mask

if TYPE_CHECKING:
    from argus_core.tasks.classify.result import ClassResult


class Classify(Task):
    """Tell which of ``classes`` an image shows; scored by accuracy. The truth is a class index."""

    name: ClassVar[str] = "classify"
    floor: ClassVar[str] = "classify.prototypes"
    classes: tuple[str, ...]

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not classes or len(set(classes)) != len(classes):
            twice = [name for name, count in Counter(classes).items() if count > 1]
            wrong = f"{twice[:5]} occur more than once" if classes else "there are none"
            raise ArgusError(f"a classification task needs one or more distinct class names; {wrong}")
        return classes

    def target(self, truth: int, placement: Placement) -> ClassTarget:
        """The class; raises ArgusError for an index that is none."""
        if wrong := self.fault(truth, placement.image_size):
            raise ArgusError(f"an image's class cannot be used: {wrong}")
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

    def result(self, prediction: Classes, image: npt.NDArray[np.uint8], *, top_k: int = 5) -> ClassResult:
        """The ``top_k`` best classes by name, at least one, with scores and margin."""
        from argus_core.tasks.classify.result import ClassResult

        if top_k < 1:
            raise ArgusError(f"top_k is how many classes to name, 1 or more, not {top_k}")

        return ClassResult(image, prediction, self.classes, top_k)

    def metric(self) -> Metric:
        """Top-1, top-5 and per-class accuracy."""
        from argus_core.tasks.classify.metric import Accuracy

        return Accuracy(self.classes)

    def check(self, prediction: Classes, canvas: tuple[int, int]) -> None:
        """A finite score for every class."""
        scores = prediction.scores
        assert scores.shape == (len(self.classes),), f"scores are {tuple(scores.shape)} for {len(self.classes)} classes"
        assert scores.is_floating_point(), f"scores are {scores.dtype}, not floating-point numbers"
        assert scores.isfinite().all(), "scores are not finite"

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """Why the truth is no class; empty if it is one."""
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
        extent = _extents(canvas, images)
        start = torch.randint(len(self.classes), (), generator=generator)
        labels = (start + torch.arange(images)) % len(self.classes)  # in turn, so that few images show many classes
        maps, prefix = {}, {}
        for layer in sorted({layer % info.depth for layer in layers}):
            channels, grid = info.channels[layer], info.grid(canvas, layer)
            vectors = 3 * torch.randn(len(self.classes), channels, generator=generator)[labels]
            cells = vectors[:, :, None, None] + torch.randn(images, channels, *grid, generator=generator)
            maps[layer] = cells * cell_mask(extent, info.strides[layer], grid)
            prefix[layer] = torch.randn(images, max(1, info.prefix), channels, generator=generator)
            prefix[layer][:, 0] += vectors
        return Tokens(maps, prefix, extent, canvas, info), [ClassTarget(label) for label in labels]

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


def _extents(canvas: tuple[int, int], images: int) -> Tensor:
    """(B, 2): whole canvases, and in turn ones padded to the right and below."""
    extent = torch.tensor(canvas).repeat(images, 1)
    extent[1::4, 1] = extent[1::4, 1] * 3 // 4
    extent[3::4, 0] = extent[3::4, 0] * 3 // 4
    return extent
