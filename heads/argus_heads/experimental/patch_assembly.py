"""Objects put together from cells that stick to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from argus_core.detection.assembly import assembled, diffuse
from argus_core.detection.assign import IGNORE
from argus_core.detection.blocks import PRIOR, ConvGN, Tower, prediction
from argus_core.detection.dense import DenseHead, DenseOutput, Level
from argus_core.detection.geometry import Points, boxes_to_ltrb, ltrb_to_boxes
from argus_core.detection.owners import bond_loss, smallest_box
from argus_core.detection.postprocess import suppress
from argus_core.processes import batch_total
from argus_core.recipe import Recipe
from argus_core.taps import Taps, default_layers
from argus_core.tasks.detect import BoxTarget, Detect, Detections
from argus_core.tokens import FeatureInfo, Features, Needs, cell_mask

GLUE = 16


@dataclass(frozen=True)
class AssemblyOutput(DenseOutput):
    """One level whose quality is objectness, and logits that a cell and the next ``right`` (B, h, w - 1) or
    ``down`` (B, h - 1, w) are one object."""

    right: Tensor
    down: Tensor


class PatchAssembly(DenseHead):
    """Every cell votes for classes and the whole box, glue bonds neighbours, and bonds decide who votes together.

    Tiles that assemble themselves (Winfree 1998), votes for a whole (Leibe 2004), affinities (SSAP, Gao 2019). In
    training votes spread along bonds; in decoding bonds below ``cut`` break and every connected piece is one object.
    """

    recipe = Recipe(lr=1e-3, batch=16, epochs=12)
    quality = "iou"  # no location's box counts more than another's
    glue_weight = 1.0
    least_objectness = 0.3

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, cut: float = 0.5) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.strides = (self.taps.stride,)
        self.assigner = smallest_box
        self.cut = cut
        self.stem = ConvGN(self.taps.channels, width, 1, act=True)
        self.tower = Tower(width, 3, 2)
        self.parts = prediction(width, len(task.classes), prior=PRIOR)
        self.objectness = prediction(width, 1, prior=PRIOR)
        self.vote = prediction(width, 4)
        self.scale = nn.Parameter(torch.ones(()))
        self.glue = nn.Conv2d(width, 2 * GLUE, 1)
        self.glue_bias = nn.Parameter(torch.zeros(2))

    def forward(self, features: Features) -> AssemblyOutput:
        """Assembled logits and distances and each cell's objectness, at the backbone's stride, and the bonds."""
        stride = self.strides[0]
        x = self.tower(self.stem(self.taps(features)))
        grid = (x.shape[2], x.shape[3])
        across, along = self.glue(x).float().chunk(2, dim=1)
        right = (across[..., :-1] * across[..., 1:]).sum(dim=1) + self.glue_bias[0]
        down = (along[:, :, :-1] * along[:, :, 1:]).sum(dim=1) + self.glue_bias[1]
        seen = cell_mask(features.extent, stride, grid)[:, 0]
        held = (right.sigmoid() * (seen[..., :-1] & seen[..., 1:]), down.sigmoid() * (seen[:, :-1] & seen[:, 1:]))
        rows, cols = (torch.arange(size, device=x.device) + 0.5 for size in grid)
        place = torch.stack([cols.expand(grid), rows[:, None].expand(grid)])  # (2, h, w) x, y in strides
        ltrb = (self.scale * self.vote(x).float()).clamp(-8, 8).exp()
        votes = torch.cat([place - ltrb[:, :2], place + ltrb[:, 2:]], dim=1)
        boxes, parts = diffuse(torch.cat([votes, self.parts(x).float()], dim=1), *held).tensor_split([4], dim=1)
        ltrb = stride * torch.cat([place - boxes[:, :2], boxes[:, 2:] - place], dim=1)
        level = Level(parts, ltrb, self.objectness(x).float())
        return AssemblyOutput((level,), self.strides, features.extent, right, down)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """``glue``, and ``quality`` as objectness: asked of every cell instead of those on objects alone."""
        assert isinstance(output, AssemblyOutput)
        points, (_, _, objectness) = output.points(), output.flat()
        used, wanted = matched != IGNORE, matched >= 0
        term = F.binary_cross_entropy_with_logits(objectness[used], wanted[used].float(), reduction="sum")
        owner = torch.where(torch.stack([_shared(points, target) for target in targets]), IGNORE, matched)
        owner = owner.view(-1, *output.levels[0].cls.shape[2:])  # (B, h, w)
        logits = torch.cat([output.right.flatten(), output.down.flatten()])
        one = torch.cat([owner[..., :-1].flatten(), owner[:, :-1].flatten()])
        other = torch.cat([owner[..., 1:].flatten(), owner[:, 1:].flatten()])
        return {
            "quality": self.quality_weight * term / batch_total(wanted.sum()),
            "glue": self.glue_weight * bond_loss(logits, one, other),
        }

    def _decode_image(self, output: DenseOutput, image: int, points: Sequence[Points]) -> Detections:
        assert isinstance(output, AssemblyOutput)
        level, extent, where = output.levels[0], output.extent[image], points[0]
        grid = level.cls.shape[2:]
        objectness = level.quality[image, 0].sigmoid()
        kept = (objectness > self.least_objectness) & where.within(extent).view(grid)
        right, down = (bond[image].sigmoid() for bond in (output.right, output.down))
        right = right * ((right > self.cut) & kept[:, :-1] & kept[:, 1:])
        down = down * ((down > self.cut) & kept[:-1] & kept[1:])
        boxes, parts, bond = assembled(
            ltrb_to_boxes(where.xy, rearrange(level.ltrb[image], "c h w -> (h w) c")),
            rearrange(level.cls[image], "k h w -> (h w) k"),
            right,
            down,
            kept.flatten(),
        )
        scores = parts.sigmoid() * bond[:, None]  # (M, K)
        piece, label = (scores > self.decoding.score).nonzero(as_tuple=True)
        boxes = torch.minimum(boxes.clamp(min=0), extent.flip(0).repeat(2))
        return suppress(boxes[piece], scores[piece, label], label, self.decoding)


def _shared(points: Points, target: BoxTarget) -> Tensor:
    """(N,) whether a cell overlaps several objects, so that nobody can say whose it is."""
    half = points.stride[:, None] / 2
    reach = boxes_to_ltrb(points.xy[:, None], target.boxes[~target.crowd]) + half[..., None]  # (N, G, 4)
    return (reach > 0).all(dim=-1).sum(dim=1) > 1
