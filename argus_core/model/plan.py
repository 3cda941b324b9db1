"""What an Argus will do with an image: its passes, and what backbone and heads cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from argus_core.canvas import Canvas
from argus_core.model.composition import run_head
from argus_core.model.macs import count_macs

if TYPE_CHECKING:
    from argus_core.model.composition import Composition, Pass


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

    Counted are matrix products, distances, convolutions and attention (`argus_core.model.macs`). Matching descriptors
    of two images is not a pass's work and not counted.
    """

    passes: tuple[PassCost, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all passes."""
        return sum(one.macs for one in self.passes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "macs": self.macs}

    def __str__(self) -> str:
        rows = [("pass", "canvas", "part", "kind", "parameters", "GMACs", "share")]
        for number, one in enumerate(self.passes, 1):
            where = (str(number), f"{one.canvas.height}x{one.canvas.width} {one.canvas.fit}")
            for part in (one.backbone, *one.heads):
                share = f"{part.macs / self.macs:.1%}" if self.macs else "-"
                rows.append((*where, part.name, part.kind, f"{part.parameters:,}", f"{part.macs / 1e9:.3f}", share))
                where = ("", "")
        rows.append(("", "", "all", "", "", f"{self.macs / 1e9:.3f}", "100.0%"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_line(row, widths) for row in rows)


def make_plan(argus: Composition) -> Plan:
    """Run every pass once, on an empty image, and count."""
    return Plan(tuple(_pass(argus, one) for one in argus.passes()))


@torch.no_grad()
def _pass(argus: Composition, one: Pass) -> PassCost:
    canvas = torch.zeros(1, *one.canvas.size, 3, dtype=torch.uint8)
    extent = torch.tensor([one.canvas.size])
    tokens, macs = count_macs(lambda: argus.backbone.encode(canvas, extent, one.needs))
    heads = []
    for name in one.heads:
        head = argus.head(name)
        _, work = count_macs(lambda head=head: run_head(head, tokens))  # type: ignore[misc]
        heads.append(Cost(name, head.name or type(head).__name__, _parameters(head), work))
    backbone = Cost("backbone", argus.backbone.name, _parameters(argus.backbone), macs)
    return PassCost(one.canvas, backbone, tuple(heads))


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Texts to the left, numbers to the right."""
    cells = [cell.ljust(w) if n < 4 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()
