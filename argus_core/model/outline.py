"""What a model holds, in a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from argus_core.backbones.base import Backbone
from argus_core.canvas import Canvas
from argus_core.errors import counted
from argus_core.head import Head


def outline(title: str, backbone: Backbone, heads: Mapping[str, Head], canvas: Canvas | None) -> str:
    """The backbone, and a line for each head: name, kind, classes, parameters and canvas, unless all share one."""
    rows = [_row(name, head, canvas) for name, head in heads.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    strides = sorted(set(backbone.info.strides))
    stride = f"stride {strides[0]}" if len(strides) == 1 else f"strides {strides[0]} to {strides[-1]}"
    canvases = {canvas or head.canvas for head in heads.values()}
    shared = canvas or (canvases.pop() if len(canvases) == 1 else None)
    where = f"one canvas {_canvas(shared)}" if shared else "each head on its own canvas"
    count = f"{counted(len(rows), 'head')}, {where}" if rows else "no heads"
    summary = f"backbone {backbone.name}, {_size(backbone)}, {stride}; {count}"
    return "\n    ".join([f"{title}({summary}", *lines]) + ")"


def _row(name: str, head: Head, shared: Canvas | None) -> list[str]:
    classes = getattr(head.task, "classes", None)
    count = "" if classes is None else f"{len(classes):,} class{'es' * (len(classes) != 1)}"
    return [name, head.name, count, _size(head), "" if shared else _canvas(head.canvas)]


def _size(module: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in module.parameters()):,} parameters"


def _canvas(canvas: Canvas | None) -> str:
    return canvas.label if canvas else "no canvas"
