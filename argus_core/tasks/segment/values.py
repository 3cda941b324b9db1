"""The predictions of a segmentation, on the canvas and in the image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
