"""A detector that also predicts depth and reads it, taught by a frozen depth head if there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import ConvGN, DenseOutput, LightHead, Tower, prediction
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import SILog, batch_total, decode_bins
from argus_core.saving.checkpoint import load_head
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, cell_mask, repeat_border

CUES = 4
BINS = 64
ROOM = Depth()
"""The range of the branch in metres; only ratios of depths matter."""
NO_SLOPE = 1e-3
"""Change of log depth per cell that is negligible."""


def depth_cues(depth: Tensor) -> Tensor:
    """(B, 4, h, w): log depth, and the magnitudes of its derivatives by x and y and of its Laplacian, per cell.

    ``depth`` (B, h, w) is positive; its border is repeated. A common factor changes the first channel only.
    """
    log = depth.log()[:, None]
    wide = F.pad(log, (1, 1, 1, 1), mode="replicate")
    left, right = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    above, below = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    changes = torch.cat([(right - left) / 2, (below - above) / 2, left + right + above + below - 4 * log], dim=1)
    return torch.cat([log, changes.abs()], dim=1)


def alignment(slope: Tensor, stride: int, targets: Sequence[BoxTarget]) -> Tensor:
    """The share in 0..1 of a box's mean slope of depth that lies inside it, not in the cells that its edge crosses.

    ``slope`` (B, h, w) is not negative, in cells of ``stride`` pixels. The mean is over boxes with whole cells inside.
    """
    shares = []
    for image_slope, target in zip(slope, targets, strict=True):
        boxes = target.boxes[~target.crowd] / stride
        axes = [_cells_along(boxes[:, k::2], cells) for k, cells in ((1, slope.shape[1]), (0, slope.shape[2]))]
        touched, inside = (rows[:, :, None] & cols[:, None] for rows, cols in zip(*axes, strict=True))  # (G, h, w)
        usable = inside.flatten(1).any(dim=1)
        inner, edge = (
            (image_slope * cells).sum(dim=(1, 2)) / cells.sum(dim=(1, 2)).clamp(min=1)
            for cells in (inside[usable], (touched & ~inside)[usable])
        )
        shares.append(inner / (inner + edge + NO_SLOPE))
    boxes_used = torch.tensor(sum(map(len, shares)), device=slope.device)
    return torch.cat(shares).sum() / batch_total(boxes_used)


def _cells_along(spans: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Which of the ``cells`` of an axis the spans (G, 2) touch, and which they contain: (G, cells) each."""
    start = torch.arange(cells, device=spans.device)
    touched = (start < spans[:, 1:]) & (start + 1 > spans[:, :1])
    return touched, (start >= spans[:, :1]) & (start + 1 <= spans[:, 1:])


@dataclass(frozen=True)
class DepthOutput(DenseOutput):
    """A ``DenseOutput``, depth (B, h, w) in cells of ``stride`` pixels, and the ``pseudo`` depth it should have."""

    depth: Tensor
    stride: int
    pseudo: Tensor | None


class DepthFusion(LightHead):
    """The light head with a depth branch, whose depth and slopes join the stem (PAD-Net, Xu 2018; Vandenhende 2020).

    ``depth`` is a saved depth head on the same backbone: the branch then learns its depth, up to a factor per image,
    and to change at the edges of boxes. Without one the branch learns from boxes alone.
    """

    depth_weight: float = 0.5
    alignment_weight: float = 0.1
    taught: Tensor

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, depth: Path | None = None) -> None:
        super().__init__(info, task, width=width)
        self.stride = 2 * self.strides[0]
        self.branch = nn.Sequential(Tower(width, convs=2), prediction(width, BINS))
        self.fuse = ConvGN(width + CUES, width, 1)
        self.silog = SILog()
        # In a tuple it is not a submodule: it is neither trained nor saved, and the head works without it.
        self._teacher: tuple[Head, ...] = () if depth is None else (_load_teacher(depth, info),)
        self._own_needs = self.needs
        for teacher in self._teacher:
            self.needs = self.needs.resolve(info) | teacher.needs.resolve(info)
        self.register_buffer("taught", torch.tensor(bool(self._teacher)))

    def forward(self, features: Features) -> DepthOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels, and depth."""
        x = self.stem(self.taps(self._select(features, self._own_needs)))
        depth = decode_bins(self.branch(x), ROOM.low, ROOM.high)
        depth = repeat_border(depth[:, None], self.stride, features.extent)[:, 0]
        x = self.fuse(torch.cat([x, depth_cues(depth)], dim=1))
        pseudo = self.pseudo(features, depth) if self.training and self._teacher else None
        return DepthOutput(self.towers(self.pyramid(x)), self.strides, features.extent, depth, self.stride, pseudo)

    @torch.no_grad()
    def pseudo(self, features: Features, depth: Tensor) -> Tensor:
        """(B, h, w): the teacher's depth, scaled to the median of ``depth`` in each image; 0 in padding."""
        teacher = self._teacher[0]
        assert isinstance(teacher.task, Depth)
        output = teacher(self._select(features, teacher.needs))
        target = decode_bins(output.logits, teacher.task.low, teacher.task.high)[:, None]
        grid = (depth.shape[1], depth.shape[2])
        target = F.interpolate(repeat_border(target, output.stride, features.extent), grid, mode="bilinear")[:, 0]
        visible = cell_mask(features.extent, self.stride, grid)[:, 0]
        ratio = (depth / target).masked_fill(~visible, torch.nan).flatten(1).nanmedian(dim=1).values
        return torch.where(visible, target * ratio[:, None, None], 0)

    def _select(self, features: Features, needs: Needs) -> Features:
        """The layers in ``needs``, from those that this head and its teacher need together."""
        layers = self.needs.resolve(self.info).layers
        maps = tuple(features.maps[layers.index(layer)] for layer in needs.resolve(self.info).layers)
        return Features(maps, (), features.extent, features.size)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """``depth`` (scale-invariant, Eigen 2014) and ``alignment``, where there is pseudo depth."""
        assert isinstance(output, DepthOutput)
        if output.pseudo is None:
            return {}
        slope = depth_cues(output.depth)[:, 1:3].sum(dim=1)
        return {
            "depth": self.depth_weight * self.silog(output.depth, output.pseudo),
            "alignment": self.alignment_weight * alignment(slope, output.stride, targets),
        }

    @classmethod
    def restore_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Without the depth head, which only training needs."""
        return {**options, "depth": None}

    def notes(self) -> list[str]:
        """How the depth branch was taught."""
        return [f"the depth branch is taught by {'a depth head' if self.taught else 'boxes alone (no depth head)'}"]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DepthFusion:
        for teacher in self._teacher:
            teacher._apply(fn)  # moves to the same device
        return super()._apply(fn, recurse)


def _load_teacher(path: Path, info: FeatureInfo) -> Head:
    head, _ = load_head(path)
    if not isinstance(head.task, Depth):
        raise ArgusError(f"{path} is a head for {head.task.name}; give depth a saved depth head, such as depth.linear")
    if head.info != info or not head.needs.norm or head.needs.cls:
        raise ArgusError(f"{path} reads features that this head does not get; train both on maps of one backbone")
    return head.requires_grad_(False)
