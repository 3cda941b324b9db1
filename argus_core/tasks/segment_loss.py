"""Cross entropy of dense class logits, at canvas resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.border import repeat_border
from argus_core.dense import enlarge
from argus_core.processes import batch_total

__all__ = ["Denominator", "DenseLogits", "MaskTarget", "cross_entropy"]

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
    with torch.autocast(labels.device.type, enabled=False):
        logits = enlarge(output.filled(), output.stride, size)
        total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
        counted = (labels != ignore) if denominator == "valid" else torch.ones_like(labels)
        return total / batch_total(counted.sum())
