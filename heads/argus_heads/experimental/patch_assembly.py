"""Objects assembled from cells that bond with their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.autograd import Function

from argus_core.detection import (
    IGNORE,
    PRIOR,
    ConvGN,
    DenseHead,
    DenseOutput,
    Level,
    Points,
    Tower,
    boxes_to_ltrb,
    ltrb_to_boxes,
    prediction,
    suppress,
)
from argus_core.detection.owners import bond_loss, smallest_box
from argus_core.nn import batch_total
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect, Detections
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

GLUE = 16
"""Features whose inner product bonds two neighbours; one set for either direction."""


def laplacian(x: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """(B, C, h, w): the sum of each cell's differences from its neighbours, weighted by their bonds.

    ``right`` (B, h, w - 1) bonds each cell with the next in its row, ``down`` (B, h - 1, w) with the one below.
    """
    dx, dy = right[:, None] * x.diff(dim=3), down[:, None] * x.diff(dim=2)
    return F.pad(dx, (1, 0)) - F.pad(dx, (0, 1)) + F.pad(dy, (0, 0, 1, 0)) - F.pad(dy, (0, 0, 0, 1))


def solve(x: Tensor, right: Tensor, down: Tensor, strength: float, steps: int) -> Tensor:
    """Approximate y with ``y + strength * laplacian(y) = x`` by ``steps`` of Chebyshev iteration; bonds are 0 to 1.

    The error falls as fast as the bound for conjugate gradients (0.70 a step at a ``strength`` of 4), but with fixed
    coefficients in place of inner products over the map: cells without a bond between them never interact.
    """
    middle, half = 1 + 4 * strength, 4 * strength  # eigenvalues lie in 1 .. 1 + 8 * strength
    y, rest = x, -strength * laplacian(x, right, down)
    step, ratio = rest / middle, half / middle
    for _ in range(steps):
        y = y + step
        rest = rest - step - strength * laplacian(step, right, down)
        last, ratio = ratio, 1 / (2 * middle / half - ratio)
        step = ratio * last * step + 2 * ratio / half * rest
    return y


class _Diffusion(Function):
    """``solve`` with the gradient of the exact solution, which is another ``solve``: no step is stored."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, right: Tensor, down: Tensor, strength: float, steps: int) -> Tensor:
        y = solve(x, right, down, strength, steps)
        ctx.save_for_backward(y, right, down)
        ctx.settings = strength, steps
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (y, right, down), (strength, steps) = ctx.saved_tensors, ctx.settings
        x_gradient = solve(gradients[0], right, down, strength, steps)
        bonds = (-strength * (x_gradient.diff(dim=axis) * y.diff(dim=axis)).sum(dim=1) for axis in (3, 2))
        return x_gradient, *bonds, None, None


def diffuse(x: Tensor, right: Tensor, down: Tensor, strength: float = 4.0, steps: int = 20) -> Tensor:
    """Values (B, C, h, w) that bonds of 0 to 1 draw towards each other, differentiable once in all three arguments.

    The sum over connected cells is preserved; with all bonds 0 nothing changes.
    """
    if torch.is_grad_enabled():
        return _Diffusion.apply(x, right, down, strength, steps)
    return solve(x, right, down, strength, steps)


def bonded(right: Tensor, down: Tensor) -> Tensor:
    """(2, E) cell indices at both ends of the true bonds: those to the right, then those below, row by row."""
    cell = torch.arange(len(right) * down.shape[1], device=right.device).view(len(right), down.shape[1])
    starts = torch.cat([cell[:, :-1][right], cell[:-1][down]])
    ends = torch.cat([cell[:, 1:][right], cell[1:][down]])
    return torch.stack([starts, ends])


def pieces(ends: Tensor, cells: int) -> Tensor:
    """(cells,) the lowest index among the cells that the bonds with ``ends`` (2, E) connect each cell to."""
    lowest = torch.arange(cells, device=ends.device)
    while True:
        lower_end = torch.minimum(*lowest[ends]).repeat(2)
        lower = lowest.scatter_reduce(0, lowest[ends].flatten(), lower_end, "amin")
        lower = lower[lower]
        if torch.equal(lower, lowest):
            return lowest
        lowest = lower


def assembled(boxes: Tensor, parts: Tensor, right: Tensor, down: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(M, 4) boxes, (M, K) mean logits and (M,) mean bonds of the M pieces among the ``kept`` (N,) cells.

    ``boxes`` (N, 4) and ``parts`` (N, K) are those of single cells; bonds (h, w - 1) and (h - 1, w) are 0 where
    broken. A cell's box is weighted by its bonds; a piece of one cell has the bond 1.
    """
    bonds = torch.cat([right[right > 0], down[down > 0]])
    ends = bonded(right > 0, down > 0)
    degree = torch.zeros_like(boxes[:, 0]).index_add(0, ends.flatten(), bonds.repeat(2))
    count = torch.zeros_like(degree).index_add(0, ends.flatten(), torch.ones_like(bonds).repeat(2))
    _, member = pieces(ends, len(boxes))[kept].unique(return_inverse=True)
    size = int(member.max()) + 1 if len(member) else 0
    weight = torch.where(degree > 0, degree, 1)[kept]
    share = (torch.arange(size, device=member.device)[:, None] == member).to(boxes.dtype)  # (M, cells)
    box = (share * weight) @ boxes[kept] / (share @ weight)[:, None]
    mean = share @ parts[kept] / share.sum(dim=1, keepdim=True)
    bond = (share @ degree[kept]) / (share @ count[kept]).clamp(min=1)
    return box, mean, torch.where(bond > 0, bond, 1)


@dataclass(frozen=True)
class AssemblyOutput(DenseOutput):
    """One level whose quality is objectness, and logits that a cell and its neighbour to the ``right``
    (B, h, w - 1) or ``down`` (B, h - 1, w) are one object."""

    right: Tensor
    down: Tensor


class PatchAssembly(DenseHead):
    """Every cell votes for classes and the whole box of its object; bonds between neighbours group the votes.

    Self-assembling tiles (Winfree 1998), votes for a whole (Leibe 2004), affinities (SSAP, Gao 2019). In training,
    votes spread along bonds; in decoding, bonds below ``cut`` break and every connected piece is one object.
    """

    recipe = Recipe(lr=1e-3, batch=16, epochs=12)
    quality = "iou"  # the boxes of all locations have the same weight
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
        """Assembled logits and distances, the objectness of each cell, at the backbone's stride, and the bonds."""
        stride = self.strides[0]
        x = self.tower(self.stem(self.taps(features)))
        grid = (x.shape[2], x.shape[3])
        across, along = self.glue(x).float().chunk(2, dim=1)
        right = (across[..., :-1] * across[..., 1:]).sum(dim=1) + self.glue_bias[0]
        down = (along[:, :, :-1] * along[:, :, 1:]).sum(dim=1) + self.glue_bias[1]
        visible = cell_mask(features.extent, stride, grid)[:, 0]
        bonds = (
            right.sigmoid() * (visible[..., :-1] & visible[..., 1:]),
            down.sigmoid() * (visible[:, :-1] & visible[:, 1:]),
        )
        rows, cols = (torch.arange(size, device=x.device) + 0.5 for size in grid)
        xy = torch.stack([cols.expand(grid), rows[:, None].expand(grid)])  # (2, h, w) in strides
        ltrb = (self.scale * self.vote(x).float()).clamp(-8, 8).exp()
        votes = torch.cat([xy - ltrb[:, :2], xy + ltrb[:, 2:]], dim=1)
        boxes, parts = diffuse(torch.cat([votes, self.parts(x).float()], dim=1), *bonds).tensor_split([4], dim=1)
        ltrb = stride * torch.cat([xy - boxes[:, :2], boxes[:, 2:] - xy], dim=1)
        level = Level(parts, ltrb, self.objectness(x).float())
        return AssemblyOutput((level,), self.strides, features.extent, right, down)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """``glue``, and ``quality`` as objectness, over all cells instead of those on objects alone."""
        assert isinstance(output, AssemblyOutput)
        points, (_, _, objectness) = output.points(), output.flat()
        used, positive = matched != IGNORE, matched >= 0
        term = F.binary_cross_entropy_with_logits(objectness[used], positive[used].float(), reduction="sum")
        owner = torch.where(torch.stack([_shared(points, target) for target in targets]), IGNORE, matched)
        owner = owner.view(-1, *output.levels[0].cls.shape[2:])  # (B, h, w)
        logits = torch.cat([output.right.flatten(), output.down.flatten()])
        starts = torch.cat([owner[..., :-1].flatten(), owner[:, :-1].flatten()])
        ends = torch.cat([owner[..., 1:].flatten(), owner[:, 1:].flatten()])
        return {
            "quality": self.quality_weight * term / batch_total(positive.sum()),
            "glue": self.glue_weight * bond_loss(logits, starts, ends),
        }

    def _decode_image(self, output: DenseOutput, image: int, points: Sequence[Points]) -> Detections:
        assert isinstance(output, AssemblyOutput)
        level, extent, cells = output.levels[0], output.extent[image], points[0]
        grid = level.cls.shape[2:]
        objectness = level.quality[image, 0].sigmoid()
        kept = (objectness > self.least_objectness) & cells.within(extent).view(grid)
        right, down = (bond[image].sigmoid() for bond in (output.right, output.down))
        right = right * ((right > self.cut) & kept[:, :-1] & kept[:, 1:])
        down = down * ((down > self.cut) & kept[:-1] & kept[1:])
        boxes, parts, bond = assembled(
            ltrb_to_boxes(cells.xy, rearrange(level.ltrb[image], "c h w -> (h w) c")),
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
    """(N,) whether a cell overlaps several objects, so that its owner is ambiguous."""
    half = points.stride[:, None] / 2
    reach = boxes_to_ltrb(points.xy[:, None], target.boxes[~target.crowd]) + half[..., None]  # (N, G, 4)
    return (reach > 0).all(dim=-1).sum(dim=1) > 1
