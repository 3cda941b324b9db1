"""A detector on a graph of cells, whose edges are neighbours and similar cells."""

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
    """Incoming edges: (B, N, K) source nodes of each of N nodes, and which of these entries are edges."""

    index: Tensor
    valid: Tensor

    def ends(self, x: Tensor) -> Tensor:
        """(B, N, K, ...) values of ``x`` (B, N, ...) at the source nodes."""
        return x[torch.arange(len(x), device=x.device)[:, None, None], self.index]


def adjacency(grid: tuple[int, int], visible: Tensor) -> Edges:
    """The up to 8 neighbours of every cell of a ``grid``, between cells that are ``visible`` (B, N)."""
    rows, cols = grid
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    dy, dx = torch.tensor(offsets, device=visible.device).unbind(1)
    cell = torch.arange(rows * cols, device=visible.device)[:, None]
    y, x = cell // cols + dy, cell % cols + dx  # (N, 8)
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < cols)
    edges = Edges(torch.where(inside, y * cols + x, cell).expand(len(visible), -1, -1), inside)
    return Edges(edges.index, inside & visible[..., None] & edges.ends(visible))


@torch.no_grad()
def nearest(x: Tensor, visible: Tensor, count: int) -> Edges:
    """The ``count`` other nodes with the highest cosine to each of ``x`` (B, N, C), among the ``visible`` (B, N)."""
    unit = F.normalize(x.float(), dim=-1)
    with full_precision(x.device):
        cosines = unit @ unit.transpose(1, 2)
    other = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
    cosines = cosines.masked_fill(~(visible[:, :, None] & visible[:, None, :] & other), -torch.inf)
    values, index = cosines.topk(min(count, x.shape[1]), dim=-1)
    return Edges(index, values > -torch.inf)


def max_relative(x: Tensor, edges: Edges, weight: Tensor | None = None) -> Tensor:
    """(B, N, C) largest ``weight * (x_j - x_i)`` over the edges of node i, per channel, or 0 (ViG, Han 2022)."""
    if not edges.index.shape[2]:
        return torch.zeros_like(x)
    difference = edges.ends(x) - x[:, :, None]  # (B, N, K, C)
    if weight is not None:
        difference = difference * weight[..., None].to(x.dtype)
    maximum = difference.masked_fill(~edges.valid[..., None], -torch.inf).amax(dim=2)
    return torch.where(edges.valid.any(dim=2)[..., None], maximum, 0)


class Affinity(nn.Module):
    """Logits that two nodes are one object: a biased inner product of ``channels`` learned features."""

    def __init__(self, width: int, channels: int = 64) -> None:
        super().__init__()
        self.project = nn.Linear(width, channels)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """(B, N, K) logits of the edges between (B, N, C) nodes."""
        unit = self.unit(x)
        return torch.einsum("bnc,bnkc->bnk", unit, edges.ends(unit)) + self.bias

    def unit(self, x: Tensor) -> Tensor:
        """float32 features (..., channels), scaled so that inner products start within a few units of 0."""
        return self.project(x).float() / self.project.out_features**0.25

    def coarsen(self, x: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Means of 2x2 cells of ``x`` (B, C, h, w), weighted by affinity to the others that are ``visible``.

        Returns maps of half the size, rounded up, and which of their cells hold a ``visible`` (B, 1, h, w) one.
        """
        pad = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
        cells, mask = (
            rearrange(F.pad(maps.to(x.dtype), pad), "b c (h y) (w x) -> b h w (y x) c", y=2, x=2)
            for maps in (x, visible)
        )
        unit = self.unit(cells)
        pairs = mask.float() * mask.float().transpose(-1, -2) * (1 - torch.eye(4, device=x.device))
        with full_precision(x.device):
            bonds = (unit @ unit.transpose(-1, -2) + self.bias).sigmoid() * pairs  # (B, h, w, 4, 4)
        weight = (bonds.sum(dim=-1, keepdim=True) + 1e-3) * mask  # a cell without a visible sibling counts, too
        mean = (weight * cells).sum(dim=3) / weight.sum(dim=3).clamp(min=1e-6)
        return rearrange(mean, "b h w c -> b c h w").to(x.dtype), rearrange(mask.amax(dim=3) > 0, "b h w c -> b c h w")


class GraphBlock(nn.Module):
    """Max-relative messages over both kinds of edges, and a feed-forward network, each added.

    Norms are over channels: group norms over the map would connect every node to every other.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.beside, self.alike = (nn.Linear(2 * width, width) for _ in range(2))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width))
        self.mlp = nn.Sequential(nn.LayerNorm(width), *feed_forward(width, 2 * width))

    def forward(self, x: Tensor, beside: Edges, alike: Edges, affinity: Tensor | None) -> Tensor:
        """Keeps (B, N, C); ``affinity`` (B, N, K) in 0..1 scales the messages of the edges ``beside``."""
        y = self.enter(x)
        messages = self.beside(torch.cat([y, max_relative(y, beside, affinity)], dim=-1))
        messages = messages + self.alike(torch.cat([y, max_relative(y, alike)], dim=-1))
        x = x + self.leave(messages)
        return x + self.mlp(x)


class Graph(nn.Module):
    """``blocks`` in a row: each finds the ``neighbours`` most similar nodes anew and uses the affinities before it."""

    def __init__(self, width: int, blocks: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.blocks = nn.ModuleList(GraphBlock(width) for _ in range(blocks))
        self.affinity = Affinity(width)

    def forward(self, x: Tensor, beside: Edges, visible: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """New nodes (B, N, C), and affinity logits (B, N, K) after each block; ``visible`` (B, N) nodes take part."""
        logits: list[Tensor] = []
        for block in self.blocks:
            weight = logits[-1].sigmoid() if logits else None
            x = block(x, beside, nearest(x, visible, self.neighbours), weight)
            logits.append(self.affinity(x, beside))
        return x, logits


@dataclass(frozen=True)
class GraphOutput(DenseOutput):
    """A ``DenseOutput`` and per block (B, 8, h, w) logits that a cell and each of its neighbours are one object."""

    affinity: tuple[Tensor, ...]


class FeatureGraph(LightHead):
    """The light head on cells that receive messages from adjacent and from similar cells.

    ViG (Han 2022) with edges from DGCNN (Wang 2019); with ``neighbours`` 0 only adjacent cells remain. Affinities
    between adjacent cells are trained on objects; they scale messages and the weights of the means in coarse levels.
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
        visible = cell_mask(features.extent, self.strides[1], grid)
        beside = adjacency(grid, visible.flatten(1))
        nodes, logits = self.graph(rearrange(x, "b c h w -> b (h w) c"), beside, visible.flatten(1))
        x = rearrange(nodes, "b (h w) c -> b c h w", h=grid[0])
        levels = [self.pyramid(x), x]
        for _ in range(LEVELS - 2):
            x, visible = self.graph.affinity.coarsen(x, visible)
            levels.append(x)
        affinity = tuple(rearrange(maps, "b (h w) k -> b k h w", h=grid[0]) for maps in logits)
        return GraphOutput(self.towers(levels), self.strides, features.extent, affinity)

    def extra_loss(self, output: DenseOutput, targets: Sequence[BoxTarget], matched: Tensor) -> dict[str, Tensor]:
        """``affinity``: whether neighbours have the same smallest box around them, after every block."""
        assert isinstance(output, GraphOutput)
        grid = (output.affinity[0].shape[2], output.affinity[0].shape[3])
        points = grid_points([grid], [self.strides[1]], output.extent.device)
        pairs = zip(targets, output.extent, strict=True)
        owner = torch.stack([assign(smallest_box, points, target, extent) for target, extent in pairs])  # (B, N)
        beside = adjacency(grid, points.within(output.extent))
        ends = beside.ends(owner)[beside.valid]
        starts = owner[..., None].expand_as(beside.valid)[beside.valid]
        logits = [rearrange(maps, "b k h w -> b (h w) k")[beside.valid] for maps in output.affinity]
        terms = torch.stack([bond_loss(block_logits, starts, ends) for block_logits in logits])
        return {"affinity": self.affinity_weight * terms.mean()}
