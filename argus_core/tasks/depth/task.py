"""The task of measuring the distance of every pixel from the camera, in metres."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import model_validator

from argus_core.canvas import Placement
from argus_core.errors import ArgusError, Fault
from argus_core.nn import BinLogits, LogDepth, merge_passes
from argus_core.tasks.base import Task, map_fault
from argus_core.tasks.depth.example import draw_depth, paint
from argus_core.tasks.depth.metric import Average, DepthMetric
from argus_core.tasks.depth.result import DepthResult
from argus_core.tasks.depth.values import DepthMap, DepthMaps, DepthTarget, Metres, known_depth
from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tokens import FeatureInfo, Tokens, cell_mask

FAR = 1000.0
"""Metres beyond the reach of any depth sensor: images with most of their depths farther away are in another unit."""
BEYOND = 0.1
"""Share of known depths beyond the range from which a fault is reported."""
NEAR = 0.01
"""A median depth below this share of the range means that depths are in a larger unit."""


class Depth(Task):
    """Tell the distance of every pixel; between ``low`` and ``high`` metres, predicted and scored.

    A truth is a float array (h, w) of metres in image pixels, unknown where it is 0, negative or not finite.
    """

    name: ClassVar[str] = "depth"
    mapped: ClassVar[bool] = True
    floor: ClassVar[str] = "depth.ridge"
    low: float = 0.001
    high: float = 10.0

    @model_validator(mode="after")
    def _check_range(self) -> Depth:
        if not 0 < self.low < self.high < math.inf:
            raise ArgusError(f"low={self.low} and high={self.high} m are not a range of depths; give 0 < low < high")
        return self

    def target(self, truth: Metres, placement: Placement) -> DepthTarget:
        """The nearest depth at every canvas pixel: between known and unknown nothing can be interpolated."""
        if fault := _map_fault(truth, placement.image_size) or _unit_fault(known_depth(truth)):
            raise ArgusError(f"a depth map cannot be used: {fault}")
        return DepthTarget(torch.from_numpy(placement.map_to_canvas(known_depth(truth), 0.0, nearest=True)))

    def decode(self, output: BinLogits | LogDepth, canvas: tuple[int, int]) -> list[DepthMaps]:
        """Depth and its deviation in each cell; padding repeats the image's border."""
        maps = output.metres(self.low, self.high)
        return [DepthMaps(depth, spread, output.stride) for depth, spread in maps]

    def to_image(self, prediction: DepthMaps, placement: Placement) -> DepthMap:
        """Depth at image pixels."""
        return self.merge([prediction], [placement])

    def merge(self, predictions: Sequence[DepthMaps], placements: Sequence[Placement]) -> DepthMap:
        """The mean of the passes' depths, and of their deviations, enlarged to the image's pixels; on the CPU."""
        both = [torch.stack([maps.depth, maps.spread]) for maps in predictions]
        plane = merge_passes(both, predictions[0].stride, placements)
        depth, spread = plane.to_image().cpu()
        unseen = ~plane.seen_in_image().cpu()
        return DepthMap(depth.clamp(self.low, self.high).masked_fill(unseen, 0), spread.masked_fill(unseen, 0))

    def result(self, prediction: DepthMap, image: npt.NDArray[np.uint8]) -> DepthResult:
        """Metres and their deviation as arrays."""
        return DepthResult(image, prediction.depth.numpy(), prediction.uncertainty.numpy())

    def metric(self, *, average: Average = "image", eigen: bool = False) -> DepthMetric:
        """Errors of depth, averaged within and then over images, or over all pixels; ``eigen`` scores NYU's crop."""
        return DepthMetric(self.low, self.high, average=average, eigen=eigen)

    def check(self, prediction: DepthMaps, canvas: tuple[int, int]) -> None:
        """Finite metres in range with a possible deviation, on a grid that covers the canvas."""
        depth, spread, stride = prediction.depth, prediction.spread, prediction.stride
        assert depth.ndim == 2 and depth.shape == spread.shape, (
            f"depth is {tuple(depth.shape)}, its spread {tuple(spread.shape)}; both must be (h, w)"
        )
        assert stride >= 1 and all(n * stride >= size for n, size in zip(depth.shape, canvas, strict=True)), (
            f"{depth.shape[0]} x {depth.shape[1]} cells of {stride} px do not cover a canvas of {canvas}"
        )
        assert depth.isfinite().all() and spread.isfinite().all(), "depth or spread is not finite"
        slack = 1e-5 * self.high  # of rounding
        assert depth.min() >= self.low - slack and depth.max() <= self.high + slack, (
            f"depth {depth.min():.4g} to {depth.max():.4g} m leaves {self.low} to {self.high} m"
        )
        assert spread.min() >= 0 and spread.max() <= (self.high - self.low) / 2 + slack, (
            f"a spread of {spread.min():.4g} to {spread.max():.4g} m cannot be that of depths in range"
        )

    def nothing(self, canvas: tuple[int, int]) -> DepthTarget:
        """No depth is known."""
        return DepthTarget(torch.zeros(canvas))

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What is wrong with a depth map for an image of ``size``: type, shape, unit, range, or nothing known."""
        if fault := _map_fault(truth, size):
            return fault
        values = known_depth(truth)
        if not values.any():
            return "no pixel has a known depth"
        if not np.any((values > self.low) & (values < self.high)):
            fault = f"no known depth lies between {self.low:g} and {self.high:g} m: they are {_span(values)}"
        return _unit_fault(values) or fault

    def summary(self, truths: Iterable[Metres]) -> dict[str, Any]:
        """Shares of pixels with known depth and of depths beyond the range; and a median of medians."""
        known, pixels, beyond, medians, low, high = 0, 0, 0, [], math.inf, 0.0
        for truth in truths:
            values = known_depth(truth)
            pixels += values.size
            values = values[values > 0]
            if len(values):
                known += len(values)
                beyond += np.count_nonzero((values <= self.low) | (values >= self.high))
                medians.append(float(np.median(values)))
                low, high = min(low, float(values.min())), max(high, float(values.max()))
        if not medians:
            return {"known_share": 0.0}
        span = {"min": low, "median": float(np.median(medians)), "max": high}
        shares = {"known_share": known / pixels, **({"beyond_range_share": beyond / known} if beyond else {})}
        return {**shares, **{f"depth_{name}_m": round(value, 4) for name, value in span.items()}}

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """No known depth, a wrong unit, or depths beyond the range, which is wrong if it is more than half of them."""
        if not summary["known_share"]:
            return [Fault("", "no pixel has a known depth that can be used", wrong=True)]
        median, beyond = summary["depth_median_m"], summary.get("beyond_range_share", 0.0)
        remedy = "give the unit of the files (unit= or scale=) or the range (low=, high=) in the data spec"
        if beyond >= BEYOND:
            what = f"{beyond:.1%} of the known depths are not between {self.low:g} and {self.high:g} m"
            return [Fault("", f"{what}, where they are learned and scored; {remedy}", wrong=beyond > 0.5)]
        if median < NEAR * self.high:
            what = f"the median depth is {median:g} m, of a range up to {self.high:g} m"
            return [Fault("", f"{what}: is it in another unit? {remedy}", wrong=True)]
        return []

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[DepthTarget]]:
        """Rolling depths that each cell's vector encodes; unknown in places, and half of the images have padding."""
        extent = draw_extents(canvas, images)
        depth = draw_depth(self.low, self.high, canvas, images, generator)
        tokens = paint_tokens(
            info, layers, canvas, extent, generator, lambda layer: paint(depth, info, layer, generator)
        )
        known = (torch.rand(depth.shape, generator=generator) >= 0.1) & cell_mask(extent, 1, canvas)[:, 0]
        return tokens, [DepthTarget(metres) for metres in depth * known]

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Metres:
        """Rolling depths, unknown in a corner."""
        depth = draw_depth(self.low, self.high, size, 1, generator)[0]
        depth[: size[0] // 8, : size[1] // 8] = 0
        return depth.numpy()

    def perfect(self, truth: Metres, placement: Placement) -> DepthMaps:
        """The depth at every canvas pixel, the farthest possible where none is known."""
        depth = self.target(truth, placement).depth
        known = torch.where(depth > 0, depth, self.high).clamp(self.low, self.high)
        return DepthMaps(known, torch.zeros_like(known), 1)

    @classmethod
    def small(cls) -> Depth:
        """The range of rooms."""
        return cls()


def _map_fault(truth: Any, size: tuple[int, int]) -> str:
    """Why a depth map does not fit an image of ``size``; empty if it does."""
    return map_fault(truth, size, "f", "a float")


def _unit_fault(values: Metres) -> str:
    """Why known depths cannot be metres; empty if they can."""
    if 2 * np.count_nonzero(values > FAR) <= np.count_nonzero(values):
        return ""
    return f"depths are {_span(values)}: are they millimetres? give the unit (scale) of the files"


def _span(values: Metres) -> str:
    values = values[values > 0]
    return f"{values.min():g} to {values.max():g} m, median {np.median(values):g} m"
