"""Losses of dense class logits at canvas resolution: cross entropy, and how little of each class overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.nn import batch_total, enlarge, full_precision
from argus_core.tokens import repeat_border

Denominator = Literal["valid", "all"]
"""Pixels that the mean of a loss is taken over: those that are labelled, or all."""


@dataclass(frozen=True)
class MaskTarget:
    """The class indices (H, W), long, of every canvas pixel; padding, cut parts and the unlabelled are ``ignore``."""

    labels: Tensor

    def to(self, device: torch.device | str) -> MaskTarget:
        """The same target on ``device``."""
        return MaskTarget(self.labels.to(device))


@dataclass(frozen=True)
class DenseLogits:
    """Class logits (B, K, h, w) of cells of ``stride`` canvas pixels; ``extent`` (B, 2) is where the images end."""

    logits: Tensor
    stride: int
    extent: Tensor

    def filled(self) -> Tensor:
        """float32 logits whose padding repeats the image's border."""
        return repeat_border(self.logits.float(), self.stride, self.extent)


def cross_entropy(
    output: DenseLogits, targets: Sequence[MaskTarget], ignore: int, denominator: Denominator = "valid"
) -> Tensor:
    """The mean over labelled pixels of logits enlarged bilinearly to the canvas; 0 where nothing is labelled.

    ``all`` divides by the number of all pixels instead, padding included, as the linear evaluation of DINOv3 does.
    """
    labels = torch.stack([target.labels for target in targets])  # (B, H, W)
    size = (labels.shape[1], labels.shape[2])
    with full_precision(labels.device):
        logits = enlarge(output.filled(), output.stride, size)
        total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
        counted = (labels != ignore) if denominator == "valid" else torch.ones_like(labels)
        return total / batch_total(counted.sum())


def jaccard(output: DenseLogits, targets: Sequence[MaskTarget], ignore: int) -> Tensor:
    """One minus the soft intersection over union (Rahman 2016), meaned over images and the classes that each shows.

    Unlike cross entropy it gives a small class the weight of a large one, as the mean IoU does. Probabilities are those
    of logits enlarged bilinearly to the canvas; 0 where nothing is labelled.
    """
    labels = torch.stack([target.labels for target in targets])  # (B, H, W)
    known = (labels != ignore).flatten(1)  # (B, N)
    with full_precision(labels.device):
        logits = enlarge(output.filled(), output.stride, (labels.shape[1], labels.shape[2]))
        shares = logits.softmax(dim=1).flatten(2) * known[:, None]  # (B, K, N)
        index = labels.flatten(1).where(known, 0)
        hits = shares.gather(1, index[:, None])[:, 0]  # of the true class
        both, true = (
            torch.zeros_like(shares[..., 0]).scatter_add(1, index, part) for part in (hits, known.to(hits.dtype))
        )
        union = shares.sum(dim=2) + true - both
        seen = true > 0
        lacking = 1 - both / union.clamp(min=1e-6)
        return lacking[seen].sum() / batch_total(seen.sum())
