"""What a composition holds, in a line per head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from argus_core.canvas import Canvas
from argus_core.errors import counted

if TYPE_CHECKING:
    from argus_core.compose import Composition


def outline(argus: Composition) -> str:
    """The backbone, and each head's name, kind, task, classes, parameters and canvas."""
    rows = [_row(argus, name) for name in argus.heads]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    strides = sorted(set(argus.backbone.info.strides))
    spread = f"stride {strides[0]}" if len(strides) == 1 else f"strides {strides[0]} to {strides[-1]}"
    about = f"backbone {argus.backbone.name}, {_size(argus.backbone)}, {spread}"
    own = {argus.head(name).canvas for name in argus.heads}
    shared = argus.canvas or (own.pop() if len(own) == 1 else None)
    canvas = f"one canvas {_canvas(shared)}" if shared else "each head on its own canvas"
    held = f"{counted(len(rows), 'head')}, {canvas}" if rows else "no heads"
    return "\n    ".join([f"{type(argus).__name__}({about}; {held}", *lines]) + ")"


def _row(argus: Composition, name: str) -> list[str]:
    head = argus.head(name)
    classes = getattr(head.task, "classes", None)
    named = "" if classes is None else f"{len(classes):,} class{'es' * (len(classes) != 1)}"
    canvas = "" if argus.canvas else _canvas(head.canvas)
    return [name, head.name, named, _size(head), canvas]


def _size(module: nn.Module) -> str:
    """The number of a module's parameters."""
    return f"{sum(parameter.numel() for parameter in module.parameters()):,} parameters"


def _canvas(canvas: Canvas | None) -> str:
    return f"{canvas.height}x{canvas.width} {canvas.fit}" if canvas else "no canvas"
