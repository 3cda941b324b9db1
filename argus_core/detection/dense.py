"""Detectors that predict at every location of a pyramid: a head defines ``forward``, the rest is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from argus_core.detection.assign import ATSS, Assigner, assign_batch
from argus_core.detection.geometry import Points, grid_points
from argus_core.detection.losses import Quality, dense_losses
from argus_core.detection.postprocess import DecodeOptions, candidates, suppress
from argus_core.head import Head
from argus_core.nn import full_precision
from argus_core.tasks.detect import BoxTarget, Detect, Detections


@dataclass(frozen=True)
class Level:
    """The output of one level: ``cls`` (B, K, h, w) logits, ``ltrb`` (B, 4, h, w) positive canvas pixels,
    ``quality`` (B, 1, h, w) logits of centre-ness or overlap."""

    cls: Tensor
    ltrb: Tensor
    quality: Tensor


@dataclass(frozen=True)
class DenseOutput:
    """All levels, finest first, their strides in pixels, and the images' ``extent`` (B, 2: height, width)."""

    levels: tuple[Level, ...]
    strides: tuple[int, ...]
    extent: Tensor

    def points(self) -> Points:
        """The N locations of all levels, in the order of ``flat``."""
        grids = [(level.cls.shape[2], level.cls.shape[3]) for level in self.levels]
        return grid_points(grids, self.strides, self.extent.device)

    def flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """float32 ``cls`` (B, N, K), ``ltrb`` (B, N, 4) and ``quality`` (B, N) of all locations."""
        cls, ltrb, quality = (
            torch.cat([getattr(level, name).float().flatten(2) for level in self.levels], dim=2)
            for name in ("cls", "ltrb", "quality")
        )  # (B, C, N)
        return cls.transpose(1, 2), ltrb.transpose(1, 2), quality[:, 0]


class DenseHead(Head):
    """A detector whose ``forward`` returns a ``DenseOutput``; assignment, loss and decoding are inherited.

    A subclass must set ``strides``; all other attributes have the customary values.
    """

    solves = Detect
    strides: tuple[int, ...]
    assigner: Assigner = ATSS()
    cls_weight: float = 1.0
    box_weight: float = 1.0
    quality_weight: float = 1.0
    quality: Quality = "centerness"
    decoding: DecodeOptions = DecodeOptions()

    def assign(self, points: Points, targets: Sequence[BoxTarget], output: DenseOutput) -> Tensor:
        """(B, N) box index per location, -1 background, -2 ignored; may look at the output."""
        return assign_batch(self.assigner, points, targets, output.extent)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """Further named terms of a subclass; ``matched`` (B, N) comes from ``assign``."""
        return {}

    def loss(self, output: DenseOutput, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """``cls``, ``box`` and ``quality`` terms, weighted and in float32, and those of ``extra_loss``."""
        with full_precision(output.extent.device):
            points = output.points()
            with torch.no_grad():
                matched = self.assign(points, targets, output)
            terms = dense_losses(*output.flat(), points.xy, matched, targets, self.quality)
            weighted = {name: getattr(self, f"{name}_weight") * term for name, term in terms.items()}
            return weighted | self.extra_loss(output, targets, matched)

    @torch.no_grad()
    def decode(self, output: DenseOutput, canvas: tuple[int, int]) -> list[Detections]:
        """At most ``decoding.limit`` boxes per image, clipped to where the image lies on the canvas."""
        points = output.points()
        levels = [points[points.level == index] for index in range(len(output.levels))]
        return [self._decode_image(output, image, levels) for image in range(len(output.extent))]

    def _decode_image(self, output: DenseOutput, image: int, points: Sequence[Points]) -> Detections:
        kept = []
        for level, locations in zip(output.levels, points, strict=True):
            maps = (level.cls[image], level.ltrb[image], level.quality[image])  # (C, h, w) each
            cls, ltrb, quality = (x.float().flatten(1) for x in maps)
            kept.append(candidates(cls, ltrb, quality, locations, output.extent[image], self.decoding))
        boxes, scores, labels = (torch.cat(parts) for parts in zip(*kept, strict=True))
        return suppress(boxes, scores, labels, self.decoding)
