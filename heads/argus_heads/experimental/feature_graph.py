"""A detector on the graph of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from argus_core.detection import LEVELS, DenseOutput, LightHead, UpGN, assign, grid_points
from argus_core.detection.attention import feed_forward
from argus_core.detection.owners import bond_loss, smallest_box
from argus_core.nn import full_precision
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask


@dataclass(frozen=True)
class Edges:
    """(B, N, K) nodes that each of N nodes hears, and which of these entries are edges at all."""

    index: Tensor
    valid: Tensor

    def ends(self, x: Tensor) -> Tensor:
        """(B, N, K, ...) values of (B, N, ...) at the far ends."""
        return x[torch.arange(len(x), device=x.device)[:, None, None], self.index]


def adjacency(grid: tuple[int, int], seen: Tensor) -> Edges:
    """The up to 8 neighbours of every cell of a ``grid``, between cells that are ``seen`` (B, N)."""
    rows, cols = grid
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    dy, dx = torch.tensor(offsets, device=seen.device).unbind(1)
    cell = torch.arange(rows * cols, device=seen.device)[:, None]
    y, x = cell // cols + dy, cell % cols + dx  # (N, 8)
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < cols)
    edges = Edges(torch.where(inside, y * cols + x, cell).expand(len(seen), -1, -1), inside)
    return Edges(edges.index, inside & seen[..., None] & edges.ends(seen))


@torch.no_grad()
def nearest(x: Tensor, seen: Tensor, count: int) -> Edges:
    """The ``count`` nodes most like each of (B, N, C) by cosine, itself left out, among those ``seen`` (B, N)."""
    unit = F.normalize(x.float(), dim=-1)
    with full_precision(x.device):
        like = unit @ unit.transpose(1, 2)
    other = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
    like = like.masked_fill(~(seen[:, :, None] & seen[:, None, :] & other), -torch.inf)
    value, index = like.topk(min(count, x.shape[1]), dim=-1)
    return Edges(index, value > -torch.inf)


def max_relative(x: Tensor, edges: Edges, weight: Tensor | None = None) -> Tensor:
    """(B, N, C) largest ``weight * (x_j - x_i)`` over node i's edges, per channel; 0 without any (ViG, Han 2022)."""
    if not edges.index.shape[2]:
        return torch.zeros_like(x)
    difference = edges.ends(x) - x[:, :, None]  # (B, N, K, C)
    if weight is not None:
        difference = difference * weight[..., None].to(x.dtype)
    most = difference.masked_fill(~edges.valid[..., None], -torch.inf).amax(dim=2)
    return torch.where(edges.valid.any(dim=2)[..., None], most, 0)


class Affinity(nn.Module):
    """How surely two nodes are one object: a biased inner product of ``channels`` learned features."""

    def __init__(self, width: int, channels: int = 64) -> None:
        super().__init__()
        self.project = nn.Linear(width, channels)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """(B, N, K) logits of the edges between (B, N, C) nodes."""
        unit = self.unit(x)
        return torch.einsum("bnc,bnkc->bnk", unit, edges.ends(unit)) + self.bias

    def unit(self, x: Tensor) -> Tensor:
        """float32 features (..., channels), scaled so that their inner products start within a few units of 0."""
        return self.project(x).float() / self.project.out_features**0.25

    def coarsen(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of 2x2 cells (B, C, h, w) weighted by their affinity to the others that are ``seen`` (B, 1, h, w).

        Returns maps of half the size, rounded up, and the cells that hold any that were seen.
        """
        pad = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
        cells, there = (
            rearrange(F.pad(each.to(x.dtype), pad), "b c (h y) (w x) -> b h w (y x) c", y=2, x=2) for each in (x, seen)
        )
        unit = self.unit(cells)
        pairs = there.float() * there.float().transpose(-1, -2) * (1 - torch.eye(4, device=x.device))
        with full_precision(x.device):
            bonds = (unit @ unit.transpose(-1, -2) + self.bias).sigmoid() * pairs  # (B, h, w, 4, 4)
        weight = (bonds.sum(dim=-1, keepdim=True) + 1e-3) * there  # one without a sibling counts, too
        mean = (weight * cells).sum(dim=3) / weight.sum(dim=3).clamp(min=1e-6)
        return rearrange(mean, "b h w c -> b c h w").to(x.dtype), rearrange(there.amax(dim=3) > 0, "b h w c -> b c h w")


class GraphBlock(nn.Module):
    """Max-relative messages over both kinds of edges, and a feed-forward network, each added.

    Norms are over channels: group norms over the map would let every node hear every other.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.beside, self.alike = (nn.Linear(2 * width, width) for _ in range(2))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width))
        self.mlp = nn.Sequential(nn.LayerNorm(width), *feed_forward(width, 2 * width))

    def forward(self, x: Tensor, beside: Edges, alike: Edges, affinity: Tensor | None) -> Tensor:
        """Keeps (B, N, C); ``affinity`` (B, N, K) in 0..1 scales what is heard from ``beside``."""
        y = self.enter(x)
        heard = self.beside(torch.cat([y, max_relative(y, beside, affinity)], dim=-1))
        heard = heard + self.alike(torch.cat([y, max_relative(y, alike)], dim=-1))
        x = x + self.leave(heard)
        return x + self.mlp(x)


class Graph(nn.Module):
    """``blocks`` in a row; the ``neighbours`` most alike are looked up anew for each, affinities come from the last."""

    def __init__(self, width: int, blocks: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.blocks = nn.ModuleList(GraphBlock(width) for _ in range(blocks))
        self.affinity = Affinity(width)

    def forward(self, x: Tensor, beside: Edges, seen: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """(B, N, C) nodes, of which ``seen`` (B, N) take part, and the (B, N, K) affinity logits after each block."""
        logits: list[Tensor] = []
        for block in self.blocks:
            weight = logits[-1].sigmoid() if logits else None
            x = block(x, beside, nearest(x, seen, self.neighbours), weight)
            logits.append(self.affinity(x, beside))
        return x, logits


@dataclass(frozen=True)
class GraphOutput(DenseOutput):
    """A ``DenseOutput`` and per block (B, 8, h, w) logits that a cell and each of its neighbours are one object."""

    affinity: tuple[Tensor, ...]


class FeatureGraph(LightHead):
    """Cells hear the cells beside them and those like them, and coarse levels are made of what belongs together.

    ViG (Han 2022) with edges from DGCNN (Wang 2019); ``neighbours`` 0 leaves only the cells beside. Affinities are
    taught where objects are, and scale what neighbours hear and what a coarse cell keeps of its four.
    """

    affinity_weight = 1.0

    def __init__(
        self, info: FeatureInfo, task: Detect, *, width: int = 192, blocks: int = 3, neighbours: int = 9
    ) -> None:
        super().__init__(info, task, width=width, pyramid=UpGN(width, width))
        self.graph = Graph(width, blocks, neighbours)

    def forward(self, features: Features) -> GraphOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels, and affinities."""
        x = self.stem(self.taps(features))
        grid = (x.shape[2], x.shape[3])
        seen = cell_mask(features.extent, self.strides[1], grid)
        beside = adjacency(grid, seen.flatten(1))
        nodes, logits = self.graph(rearrange(x, "b c h w -> b (h w) c"), beside, seen.flatten(1))
        x = rearrange(nodes, "b (h w) c -> b c h w", h=grid[0])
        levels = [self.pyramid(x), x]
        for _ in range(LEVELS - 2):
            x, seen = self.graph.affinity.coarsen(x, seen)
            levels.append(x)
        affinity = tuple(rearrange(each, "b (h w) k -> b k h w", h=grid[0]) for each in logits)
        return GraphOutput(self.towers(levels), self.strides, features.extent, affinity)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """``affinity``: whether neighbours lie in one smallest box, after every block."""
        assert isinstance(output, GraphOutput)
        grid = (output.affinity[0].shape[2], output.affinity[0].shape[3])
        points = grid_points([grid], [self.strides[1]], output.extent.device)
        pairs = zip(targets, output.extent, strict=True)
        owner = torch.stack([assign(smallest_box, points, target, extent) for target, extent in pairs])  # (B, N)
        beside = adjacency(grid, points.within(output.extent))
        ends = beside.ends(owner)[beside.valid]
        starts = owner[..., None].expand_as(beside.valid)[beside.valid]
        logits = [rearrange(each, "b k h w -> b (h w) k")[beside.valid] for each in output.affinity]
        terms = torch.stack([bond_loss(each, starts, ends) for each in logits])
        return {"affinity": self.affinity_weight * terms.mean()}
