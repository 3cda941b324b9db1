"""The model a command works with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.common.device import find_device
from argus_core.common.license import refused_heads, require
from argus_core.common.options import parse_size
from argus_core.errors import ArgusError
from argus_core.registry.places import DEFAULT_MODEL, check_model, folder_of, is_run


def open_model(
    model: str | None,
    device: str | None,
    canvas: str | None = None,
    license: str | None = None,
    partly: bool = True,
    weights: Path | None = None,
) -> Argus:
    """A saved Argus (folder or hub id), the heads of a run, or a built-in model; ``canvas`` puts all on one pass.

    Without ``model`` it is the default one, and stderr says so. With ``partly``, heads whose package is not installed
    are left out, and stderr says so; so it does of heads that are not of the ``license`` level. ``weights`` are those
    of a run's backbone, if they moved.
    """
    if model is not None:
        check_model(model)
    source = folder_of(model)
    place = find_device(device)
    argus = (
        Argus.from_runs([source], weights=weights, device=place, allow_missing=partly)
        if is_run(source)
        else Argus.load(source if source.exists() else str(model), device=place, allow_missing=partly)
    )
    if model is None:
        terms = argus.licenses().in_words()
        print(f"model: {DEFAULT_MODEL} (built in, backbone {argus.backbone.name}; licences: {terms})", file=sys.stderr)
    _keep_allowed(argus, license)
    tell_missing(argus)
    if canvas is not None:
        share_canvas(argus, canvas)
    return argus


def _keep_allowed(argus: Argus, level: str | None) -> None:
    """Leave out heads whose terms are not of a level; raises ArgusError if none is left, or the backbone's are not."""
    refused = refused_heads(argus, level)
    if len(refused) == len(argus.heads):
        require(argus, level)
    for name in refused:
        argus.remove(name)
    argus.missing = {**argus.missing, **{name: f"not {level}: {why}" for name, why in refused.items()}}
    require(argus, level)


def share_canvas(argus: Argus, size: str) -> None:
    """Put all heads on one pass, on a canvas of SIZE or HEIGHTxWIDTH."""
    height, width = parse_size(size)
    argus.canvas = Canvas(height, width)
    _check_canvas(argus, argus.canvas)


@contextmanager
def on_canvas(argus: Argus, canvas: Canvas) -> Iterator[None]:
    """All heads on one pass of a canvas, for as long as this lasts."""
    own, argus.canvas = argus.canvas, canvas
    try:
        yield
    finally:
        argus.canvas = own


def largest_canvas(argus: Argus) -> Canvas | None:
    """The largest canvas of its passes that the cells of all heads fill, if one does."""
    canvases = sorted((one.canvas for one in argus.passes()), key=lambda one: one.height * one.width, reverse=True)
    for canvas in canvases:
        with suppress(ArgusError):
            _check_canvas(argus, canvas)
            return canvas
    return None


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
