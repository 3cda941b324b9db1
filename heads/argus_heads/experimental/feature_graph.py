"""A detector on the graph of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from argus_core.detection.assign import assign
from argus_core.detection.blocks import UpGN
from argus_core.detection.dense import DenseOutput
from argus_core.detection.geometry import grid_points
from argus_core.detection.graph import Graph, adjacency
from argus_core.detection.levels import LEVELS
from argus_core.detection.light import LightHead
from argus_core.detection.owners import bond_loss, smallest_box
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask


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
