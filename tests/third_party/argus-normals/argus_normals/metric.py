"""Angles between predicted and true normals (Fouhey 2013; Eigen and Fergus 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from argus_core import ArgusError, Metric
from argus_normals.vectors import NormalMap

WITHIN = (11.25, 22.5, 30.0)
BINS = 18_000
"""Bins of 0.01 degrees, from which the median is computed."""

State = tuple[dict[str, list[float]], list[int]]


class NormalMetric(Metric):
    """Angles in degrees between predicted and true normals, over all known pixels of all images.

    ``within_11`` and so on are shares of pixels. The median is exact to 0.01 degrees. Pixels without a prediction
    count as 90 degrees.
    """

    primary = "mean"
    protocol = "normals-pixel-1"
    higher_is_better: ClassVar[bool] = False

    def __init__(self) -> None:
        self._images: dict[str, list[float]] = {}
        self._histogram = np.zeros(BINS, dtype=np.int64)

    def update(self, key: str, prediction: NormalMap, truth: npt.NDArray[Any]) -> None:
        """Add one image: predicted (3, H, W) and true (H, W, 3) unit vectors."""
        if key in self._images:
            raise ArgusError(f"image {key!r} is counted twice; give each image once")
        normals = prediction.normals.permute(1, 2, 0).double().cpu().numpy()
        if normals.shape != truth.shape:
            raise ArgusError(f"image {key!r}: normals are predicted as {normals.shape}, known as {truth.shape}")
        known = truth.any(axis=-1)
        angle = angles(normals[known], truth[known].astype(np.float64))
        sums = [len(angle), angle.sum(), np.square(angle).sum(), *((angle < limit).sum() for limit in WITHIN)]
        self._images[key] = [float(value) for value in sums]
        bins = np.minimum(angle * (BINS / 180), BINS - 1).astype(np.int64)
        self._histogram += np.bincount(bins, minlength=BINS)

    def compute(self) -> dict[str, float]:
        """All scores; nan where no pixel is known."""
        names = ("mean", "median", "rmse", "within_11", "within_22", "within_30")
        # In order of key, so that no score depends on how images were divided among processes.
        sums = np.sum([self._images[key] for key in sorted(self._images)], axis=0, initial=0.0)
        if not np.any(sums):
            return dict.fromkeys(names, math.nan)
        mean, square, *within = sums[1:] / sums[0]
        half = int(np.searchsorted(self._histogram.cumsum(), sums[0] / 2))
        values = (mean, (half + 0.5) * 180 / BINS, math.sqrt(square), *within)
        return {name: float(value) for name, value in zip(names, values, strict=True)}

    def state(self) -> State:
        """Sums by image key, and the histogram."""
        return {key: list(values) for key, values in self._images.items()}, self._histogram.tolist()

    def merge(self, states: Sequence[State]) -> None:
        """Replace the content by the union of ``states``; ArgusError for an image in two of them."""
        self._images, self._histogram = {}, np.zeros(BINS, dtype=np.int64)
        for images, histogram in states:
            if twice := sorted(images.keys() & self._images.keys()):
                raise ArgusError(f"images {twice[:3]} are counted twice; split the data set without overlap")
            self._images |= {key: list(values) for key, values in images.items()}
            self._histogram += np.array(histogram, dtype=np.int64)


def angles(normals: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Degrees (N,) between vectors (N, 3); computed from the tangent, which is exact for small angles."""
    cross = np.linalg.norm(np.cross(normals, truth), axis=-1)
    degrees: npt.NDArray[np.float64] = np.degrees(np.arctan2(cross, (normals * truth).sum(axis=-1)))
    return np.where(normals.any(axis=-1), degrees, 90.0)
