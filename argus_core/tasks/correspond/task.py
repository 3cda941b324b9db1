"""The task of finding the points of one image in another image of the same kind of thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from argus_core.canvas import Placement
from argus_core.errors import Fault
from argus_core.tasks.base import Task
from argus_core.tasks.correspond.descriptors import Described, DescriptorMaps
from argus_core.tasks.correspond.example import LANDMARKS, describe, draw_matches, paint
from argus_core.tasks.correspond.metric import Average, PCKMetric, Threshold
from argus_core.tasks.correspond.values import Landmarks, Matches
from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tokens import FeatureInfo, Tokens


class Correspond(Task):
    """Find points of one image in another; scored by the percentage of correct keypoints (PCK).

    A sample is a pair of images (source, target), its truth ``Matches``; predictions are per image.
    """

    name: ClassVar[str] = "correspond"

    def target(self, truth: Matches, placement: Placement) -> Landmarks:
        """The points of the source image on its canvas."""
        return Landmarks(torch.from_numpy(placement.points_to_canvas(truth.source)).float())

    def decode(self, output: DescriptorMaps, canvas: tuple[int, int]) -> list[Described]:
        """The descriptors of each image."""
        return [
            Described(maps.float(), output.stride, (rows, columns), canvas, output.search)
            for maps, (rows, columns) in zip(output.maps, output.extent.tolist(), strict=True)
        ]

    def to_image(self, prediction: Described, placement: Placement) -> Described:
        """The same descriptors, which can now be matched in image pixels."""
        return prediction.put(placement)

    def metric(self, *, alpha: float = 0.1, threshold: Threshold = "box", average: Average = "pair") -> PCKMetric:
        """PCK: a point is right within ``alpha`` times the longer side of the target's box or image.

        ``average`` gives every point the same weight, or every pair.
        """
        return PCKMetric(alpha, threshold, average)

    def check(self, prediction: Described, canvas: tuple[int, int]) -> None:
        """Finite descriptors on a grid that covers the canvas and no cell more."""
        maps, stride = prediction.maps, prediction.stride
        grid = tuple(-(-n // stride) for n in canvas)
        assert maps.ndim == 3 and maps.shape[1:] == grid, f"maps are {tuple(maps.shape)}, expected (C, {grid})"
        assert maps.is_floating_point(), f"descriptors are {maps.dtype}"
        assert maps.isfinite().all(), "descriptors are not finite"
        assert prediction.canvas == canvas, f"the canvas is {canvas}, the prediction says {prediction.canvas}"
        inside = (0 < end <= n for end, n in zip(prediction.extent, canvas, strict=True))
        assert all(inside), f"the image's extent {prediction.extent} does not fit a canvas of {canvas}"

    def fault(self, truth: Any, size: tuple[int, int]) -> str:
        """What is wrong with a pair's points; ``size`` is the source's, where the annotation states none."""
        if not isinstance(truth, Matches):
            return f"it is {type(truth).__name__}, not Matches"
        source, target = truth.sizes or (size, None)
        if source != size:
            return f"the annotation says {source[0]}x{source[1]} (height x width), the image has {size[0]}x{size[1]}"
        if truth.source.shape != truth.target.shape or truth.source.shape[1:] != (2,):
            return f"points are {truth.source.shape} in the source, {truth.target.shape} in the target, not (N, 2)"
        if fault := _outside("source", truth.source, source) or _outside("target", truth.target, target):
            return fault
        if truth.box is not None and not (truth.box[0] < truth.box[2] and truth.box[1] < truth.box[3]):
            return f"the target's box {truth.box} is not x1 < x2, y1 < y2"
        return ""

    def summary(self, truths: Iterable[Matches]) -> dict[str, Any]:
        """Numbers of points and of pairs: in total, per category, without points and without a box."""
        pairs = list(truths)
        counts = [len(pair.source) for pair in pairs]
        return {
            "pairs": len(pairs),
            "points": sum(counts),
            "points_per_pair": [min(counts, default=0), max(counts, default=0)],
            "pairs_without_points": counts.count(0),
            "pairs_without_box": sum(pair.box is None for pair in pairs),
            "pairs_per_category": dict(sorted(Counter(pair.category for pair in pairs if pair.category).items())),
            **({"repeated": repeated} if (repeated := _repeated(pairs)) else {}),
            **({"points_within_a_pixel": sum(counts)} if _are_shares(pairs) else {}),
        }

    def faults(self, summary: Mapping[str, Any], *, learning: bool = True) -> list[Fault]:
        """No points at all, points given as shares of the image, and pairs without points or given twice."""
        if not summary["points"]:
            return [Fault("", f"none of {summary['pairs']} pairs has a point: there is nothing to score", wrong=True)]
        if "points_within_a_pixel" in summary:
            what = f"all {summary['points']} points lie within 0..1: are they shares of the image? give pixels"
            return [Fault("", what, wrong=True)]
        empty, repeated, pairs = summary["pairs_without_points"], summary.get("repeated", 0), summary["pairs"]
        faults = []
        if empty:
            faults.append(Fault("", f"{empty} of {pairs} pairs have no point that both images show"))
        if repeated:
            what = f"{repeated} of {pairs} pairs repeat the points of another one"
            faults.append(Fault("", what, count=repeated, total=pairs))
        return faults

    def example(
        self,
        info: FeatureInfo,
        layers: Sequence[int],
        canvas: tuple[int, int],
        images: int,
        generator: torch.Generator,
    ) -> tuple[Tokens, list[Landmarks]]:
        """The same landmarks somewhere in every image, in noise; half of the images have padding."""
        extent = draw_extents(canvas, images)
        points = torch.rand(images, LANDMARKS, 2, generator=generator) * extent.flip(1)[:, None]
        tokens = paint_tokens(
            info, layers, canvas, extent, generator, lambda layer: paint(points, info, layer, canvas, generator)
        )
        return tokens, [Landmarks(image) for image in points]

    def example_truth(self, size: tuple[int, int], generator: torch.Generator) -> Matches:
        """Landmarks in the quarters of both images, not in the same order."""
        return draw_matches(size, generator)

    def perfect(self, truth: Matches, placement: Placement) -> tuple[Described, Described]:
        """Descriptors with a separate direction for every landmark around its position, and another one elsewhere."""
        return describe(truth.source, placement), describe(truth.target, placement)

    @classmethod
    def small(cls) -> Correspond:
        """The only instance, as the task has no numbers."""
        return cls()


def _repeated(pairs: Sequence[Matches]) -> int:
    """Pairs whose points, box and category are those of an earlier one."""
    full = [pair for pair in pairs if len(pair.source)]
    return len(full) - len({(p.source.tobytes(), p.target.tobytes(), p.box, p.category) for p in full})


def _are_shares(pairs: Sequence[Matches]) -> bool:
    """Whether all points lie within one pixel of the corner, and not all at whole numbers."""
    points = np.concatenate([end for pair in pairs for end in (pair.source, pair.target)] or [np.zeros((0, 2))])
    return bool((points <= 1).all() and (points % 1 > 0).any())


def _outside(which: str, points: npt.NDArray[np.float64], size: tuple[int, int] | None) -> str:
    """The first point that is not a place in an image of ``size``, in words."""
    far = (np.inf, np.inf) if size is None else size[::-1]
    outside = ~((points >= 0) & (points <= far)).all(axis=1)
    if not outside.any():
        return ""
    x, y = points[outside][0]
    where = f"the image of {size[0]}x{size[1]} (height x width)" if size else "any image"
    return f"{which} point {int(np.flatnonzero(outside)[0])} at x={x:g}, y={y:g} lies outside {where}"
