"""The passes that an Argus makes for an image, and the cost of backbone and heads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from argus_core.canvas import Canvas
from argus_core.model.composition import Composition, run_head
from argus_core.model.macs import count_macs
from argus_core.model.passes import Pass


@dataclass(frozen=True)
class Cost:
    """One part of a pass: its parameters, and its multiply-accumulates for one image."""

    name: str
    kind: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class PassCost:
    """One backbone pass over one image, and the heads that read it."""

    canvas: Canvas
    backbone: Cost
    heads: tuple[Cost, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all parts."""
        return sum(part.macs for part in (self.backbone, *self.heads))


@dataclass(frozen=True)
class Plan:
    """The passes of an Argus; printed as a table, with each part's share of all multiply-accumulates.

    Matrix products, distances, convolutions and attention are counted (`argus_core.model.macs`), matching descriptors
    of two images is not.
    """

    passes: tuple[PassCost, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all passes."""
        return sum(cost.macs for cost in self.passes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "macs": self.macs}

    def __str__(self) -> str:
        rows = [("pass", "canvas", "part", "kind", "parameters", "GMACs", "share")]
        for number, cost in enumerate(self.passes, 1):
            label = (str(number), cost.canvas.label)
            for part in (cost.backbone, *cost.heads):
                share = f"{part.macs / self.macs:.1%}" if self.macs else "-"
                rows.append((*label, part.name, part.kind, f"{part.parameters:,}", f"{part.macs / 1e9:.3f}", share))
                label = ("", "")
        rows.append(("", "", "all", "", "", f"{self.macs / 1e9:.3f}", "100.0%"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)


def make_plan(argus: Composition) -> Plan:
    """Run every pass once on an empty image, and count."""
    return Plan(tuple(_cost(argus, group) for group in argus.passes()))


@torch.no_grad()
def _cost(argus: Composition, group: Pass) -> PassCost:
    canvas = torch.zeros(1, *group.canvas.size, 3, dtype=torch.uint8)
    extent = torch.tensor([group.canvas.size])
    tokens, macs = count_macs(lambda: argus.backbone.encode(canvas, extent, group.needs, group.canvas.tiles))
    heads = []
    for name in group.heads:
        head = argus.head(name)
        _, head_macs = count_macs(lambda head=head: run_head(head, tokens))  # type: ignore[misc]
        heads.append(Cost(name, head.name or type(head).__name__, _parameters(head), head_macs))
    backbone = Cost("backbone", argus.backbone.name, _parameters(argus.backbone), macs)
    return PassCost(group.canvas, backbone, tuple(heads))


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Text columns aligned left, numbers right."""
    cells = [cell.ljust(w) if n < 4 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()
