"""Objects as points: the centre of an object is a peak in the heat map of its class, and its size is read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import (
    ConvGN,
    SmoothUpGN,
    cells_of,
    centres,
    counted_cells,
    draw,
    finer_stride,
    heat_loss,
    locate,
    object_total,
    peaks,
    prediction,
    without_crowds,
)
from argus_core.detection.heatmaps import HEAT_PRIOR
from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tasks.detect import LIMIT, BoxTarget, Detect, Detections
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers


@dataclass(frozen=True)
class CentreMaps:
    """(B, K, h, w) ``heat`` logits, and in cells (B, 2, h, w) ``size`` (width, height) and ``offset`` (x, y).

    ``extent`` (B, 2: height, width) is where images end, in canvas pixels.
    """

    heat: Tensor
    size: Tensor
    offset: Tensor
    extent: Tensor


def branch(width: int, outputs: int, prior: float = 0.5) -> nn.Sequential:
    """A 3x3 convolution, GELU and a prediction: (B, width, h, w) to (B, outputs, h, w)."""
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GELU(), prediction(width, outputs, prior=prior))


class CenterNet(Head):
    """A map at a quarter of the backbone's stride with three small branches (Zhou 2019).

    Two objects of one class whose centres share a cell are detected as one.
    """

    solves = Detect
    recipe = Recipe(lr=1e-3, batch=16, epochs=12)
    size_weight: float = 0.1

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 256) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.stride = finer_stride(self.taps.stride, 4)
        self.neck = nn.Sequential(
            ConvGN(self.taps.channels, width, 1, act=True),
            ConvGN(width, width, act=True),
            SmoothUpGN(width, width // 2),
            SmoothUpGN(width // 2, width // 4),
        )
        self.heat = branch(width // 4, len(task.classes), HEAT_PRIOR)
        self.size = branch(width // 4, 2)
        self.offset = branch(width // 4, 2)

    def forward(self, features: Features) -> CentreMaps:
        """Heat, size and offset of every cell of ``stride`` pixels, float32."""
        x = self.neck(self.taps(features))
        return CentreMaps(self.heat(x).float(), self.size(x).float(), self.offset(x).float(), features.extent)

    def loss(self, output: CentreMaps, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """``heat``, ``size`` and ``offset`` terms per object; crowds count neither for nor against a prediction."""
        shape = (output.heat.shape[1], output.heat.shape[2], output.heat.shape[3])
        objects, heat, errors = without_crowds(targets), [], []
        for i, target in enumerate(objects):
            boxes, middle = target.boxes, centres(target.boxes)
            cells = cells_of(middle, self.stride, output.extent[i])
            heat.append(draw(cells, boxes, target.labels, shape, self.stride))
            size, offset = (maps[i][:, cells[:, 0], cells[:, 1]].T for maps in (output.size, output.offset))
            size_error = F.l1_loss(size, (boxes[:, 2:] - boxes[:, :2]) / self.stride, reduction="sum")
            offset_error = F.l1_loss(offset, middle / self.stride - cells.flip(1), reduction="sum")
            errors.append(torch.stack([size_error, offset_error]))
        counted = counted_cells(targets, output.extent, self.stride, shape[1:])
        total = object_total(objects)
        size, offset = torch.stack(errors).sum(dim=0) / total
        focal = heat_loss(output.heat, torch.stack(heat), counted) / total
        return {"heat": focal, "size": self.size_weight * size, "offset": offset}

    @torch.no_grad()
    def decode(self, output: CentreMaps, canvas: tuple[int, int]) -> list[Detections]:
        """A box for each of the 100 best peaks, clipped to the image; nothing is suppressed."""
        detections = []
        grid = (output.heat.shape[2], output.heat.shape[3])
        visible = cell_mask(output.extent, self.stride, grid)
        for i, (scores, index) in enumerate(zip(*peaks(output.heat, visible, LIMIT), strict=True)):
            label, cell, corner = locate(index[scores > 0], grid)
            offset, size = (maps[i].flatten(1)[:, cell].T for maps in (output.offset, output.size))
            middle, half = corner + offset, size.clamp(min=0) / 2
            boxes = self.stride * torch.cat([middle - half, middle + half], dim=1)
            boxes = torch.minimum(boxes.clamp(min=0), output.extent[i].flip(0).repeat(2))
            detections.append(Detections(boxes, scores[scores > 0], label))
        return detections
