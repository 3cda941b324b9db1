"""The usual errors of depth (Eigen 2014), over known pixels, as sums per image."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError, unknown
from argus_core.tasks.contributions import Contributions, Counts, Rescore, Scores, ratio, shares
from argus_core.tasks.depth.values import DepthMap
from argus_core.tasks.metric import RecordMetric

Average = Literal["image", "pixel"]
Sums = npt.NDArray[np.float64]
MEANS = ("abs_rel", "sq_rel", "mae", "log10", "delta1", "delta2", "delta3")
"""Scores that are means over pixels; the others are roots."""
NAMES = ("abs_rel", "rmse", "delta1", "delta2", "delta3", "log10", "rmse_log", "silog", "sq_rel", "mae")
COUNT, SQUARE, LOG, LOG_SQUARE = range(len(MEANS), len(MEANS) + 4)
"""Places of the other sums: pixels, squared error, log error and its square."""


class DepthMetric(RecordMetric[list[float]]):
    """Errors of pixels whose true depth lies between ``low`` and ``high`` metres; predictions are clamped to these.

    ``average`` ``image`` scores every image and takes the mean of the scores, as NYU is reported; ``pixel`` treats
    all pixels alike. ``eigen`` scores the crop of Eigen (2014), rows 45 to 470 and columns 41 to 600 of 480 x 640,
    in proportion for other sizes. A prediction of 0, for pixels that no pass covered, counts as ``low``. Images
    without known depth are not scored. ``silog`` is in percent, as on the KITTI board; ``rmse`` and ``mae`` in metres.
    """

    primary = "abs_rel"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, low: float, high: float, *, average: Average = "image", eigen: bool = False) -> None:
        if average not in get_args(Average):
            raise unknown("average", average, get_args(Average))
        super().__init__()
        self.low, self.high, self.average, self.eigen = low, high, average, eigen
        self.protocol = f"depth-{average}{'-eigen' if eigen else ''}-1"

    def update(self, key: str, prediction: DepthMap, truth: npt.NDArray[Any]) -> None:
        """Add one image: predicted and true metres, (H, W) each."""
        depth = prediction.depth.float().cpu().numpy()
        if depth.shape != truth.shape:
            raise ArgusError(f"image {key!r}: depth is predicted for {depth.shape} pixels, known for {truth.shape}")
        if self.eigen:
            box = eigen_box(*truth.shape)
            depth, truth = depth[box], truth[box]
        scored = (truth > self.low) & (truth < self.high)  # false for nan
        self.add(key, error_sums(depth[scored].clip(self.low, self.high), truth[scored].astype(np.float32)))

    def compute(self) -> dict[str, float]:
        """All scores; nan where no pixel is known."""
        sums = [np.array(record) for record in self.records() if record[COUNT]]
        if not sums:
            return dict.fromkeys(NAMES, math.nan)
        parts = [scores(part) for part in (sums if self.average == "image" else [np.sum(sums, axis=0)])]
        return {name: float(np.mean([part[name] for part in parts])) for name in NAMES}

    def contributions(self) -> Contributions:
        """``sums`` over the pixels of every image, (images, 11) as of ``error_sums``."""
        sums = np.array(self.records(), dtype=np.float64).reshape(-1, LOG_SQUARE + 1)
        return Contributions(self.keys(), {"sums": sums})

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """Any of the errors."""
        sums = kept.arrays["sums"]
        if score not in NAMES:
            return None
        if self.average == "image":
            known = sums[:, COUNT] > 0
            return shares(np.where(known, _scores(sums)[score], 0), known)

        def rescore(counts: Counts) -> Scores:
            return _scores(counts.astype(np.float64) @ sums)[score]

        return rescore


def eigen_box(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of Eigen's crop, which leaves out the frame where NYU's sensor sees nothing."""
    return slice(height * 45 // 480, height * 471 // 480), slice(width * 41 // 640, width * 601 // 640)


def error_sums(depth: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> list[float]:
    """Sums over pixels (N,) of predicted and true metres, in the order of ``MEANS`` and what follows them."""
    ratio, error = depth / truth, np.abs(depth - truth)
    log, worst = np.log(ratio), np.maximum(ratio, 1 / ratio)
    relative = error / truth
    terms = (relative, error * relative, error, np.abs(log) / np.float32(math.log(10)))
    sums = [float(np.sum(term, dtype=np.float64)) for term in terms]
    sums += [float(np.count_nonzero(worst < 1.25**power)) for power in (1, 2, 3)]
    return [*sums, float(len(truth)), *(float(np.sum(x, dtype=np.float64)) for x in (error * error, log, log * log))]


def scores(sums: Sums) -> dict[str, float]:
    """All scores of the sums over one pixel or more."""
    return {name: float(value) for name, value in _scores(sums).items()}


def _scores(sums: Sums) -> dict[str, Scores]:
    """All scores of lines of sums (..., 11), in the order of ``NAMES``; nan of no pixel."""
    means = ratio(sums, np.broadcast_to(sums[..., COUNT, None], sums.shape))
    squares = {
        "rmse": means[..., SQUARE],
        "rmse_log": means[..., LOG_SQUARE],
        "silog": 1e4 * (means[..., LOG_SQUARE] - means[..., LOG] ** 2),
    }
    values = {name: means[..., place] for place, name in enumerate(MEANS)}
    values |= {name: np.sqrt(np.maximum(0.0, square)) for name, square in squares.items()}
    return {name: values[name] for name in NAMES}
