"""The model a command works with."""

from __future__ import annotations

import sys
from pathlib import Path

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.license import require
from argus_core.options import parse_size


def open_model(
    model: str, device: str | None, canvas: str | None = None, license: str | None = None, partly: bool = True
) -> Argus:
    """A saved Argus (folder or hub id) or the heads of a run; ``canvas`` puts them all on one pass.

    With ``partly``, heads whose package is not installed are left out, and stderr says so.
    """
    import torch

    _check_place(Path(model))
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    argus = (
        _runs(Path(model), place, partly)
        if _is_run(Path(model))
        else Argus.load(model, device=place, allow_missing=partly)
    )
    tell_missing(argus)
    require(argus, license)
    if canvas is not None:
        height, width = parse_size(canvas)
        argus.canvas = Canvas(height, width)
        _check_canvas(argus, argus.canvas)
    return argus


def tell_missing(argus: Argus) -> None:
    """Name on stderr the heads that were left out, and what to install for each."""
    for name, reason in argus.missing.items():
        print(f"warning: {name} is left out: {reason}", file=sys.stderr)


def one_head(argus: Argus, task: str, head: str | None) -> str:
    """The head that answers for a task; where several could and none is asked for, stderr says which does."""
    name = argus.find(task, head)
    able = [one for one in argus.heads if argus.head(one).task.name == task]
    if head is None and len(able) > 1:
        print(f"{name} answers, of {', '.join(able)}; choose with --head NAME", file=sys.stderr)
    return name


def _check_canvas(argus: Argus, canvas: Canvas) -> None:
    """Raise ArgusError, with the nearest sizes, for a canvas that the backbone's cells do not fill."""
    strides = argus.backbone.info.strides
    cell = max(strides[layer] for layer in argus.needs.layers) if len(argus.heads) else max(strides)
    if all(side % cell == 0 for side in canvas.size):
        return
    near = [[max(side // cell, 1) * cell for side in canvas.size], [-(-side // cell) * cell for side in canvas.size]]
    sizes = dict.fromkeys(f"--canvas {height}x{width}" for height, width in near)
    raise ArgusError(
        f"a canvas of {canvas.height}x{canvas.width} px does not divide into the backbone's cells of {cell} px; "
        f"the nearest sizes are {' and '.join(sizes)}"
    )


def _check_place(path: Path) -> None:
    """Raise ArgusError for a folder that holds nothing to open; other names may be hub ids."""
    if path.is_dir() and not (path / "config.json").exists() and not _is_run(path):
        raise ArgusError(
            f"{path} holds no model; give a saved Argus (a folder with config.json), a run of `arena train` "
            "(with HEAD/best.safetensors), or one head of it (with best.safetensors)"
        )


def _is_run(path: Path) -> bool:
    """Whether there are heads of a training run, and no model, at ``path``."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return path.is_dir() and not (path / "config.json").exists() and any(path.rglob("best.safetensors"))


def _runs(path: Path, device: str, partly: bool) -> Argus:
    from argus_core.trained import assemble

    return assemble([path], device=device, allow_missing=partly)
