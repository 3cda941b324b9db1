"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class ClassMaps:
    """Class logits (K, h, w) of one canvas, of cells of ``stride`` canvas pixels."""

    logits: Tensor
    stride: int


@dataclass(frozen=True)
class Segmentation:
    """The class index of every image pixel (H, W), long, and its probability (H, W) by softmax.

    Pixels that no pass saw, as where a crop cut the image, have the task's ``ignore`` index and confidence 0.
    """

    labels: Tensor
    confidence: Tensor
