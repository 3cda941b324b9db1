"""The model that a command works with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.transfer import transfer
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
    """A saved Argus (folder or hub id), the heads of a run, or a built-in model, by default ``DEFAULT_MODEL``.

    With ``canvas`` all heads share one pass. With ``partly``, heads whose package is not installed are left out. Heads
    that are not of the ``license`` level are left out too. Stderr says what was chosen and left out. ``weights`` are
    those of a run's backbone, if they moved.
    """
    if model is not None:
        check_model(model)
    source, chosen = folder_of(model), find_device(device)
    if is_run(source):
        argus = Argus.from_runs([source], weights=weights, device=chosen, allow_missing=partly)
    elif source.exists():
        argus = Argus.load(source, device=chosen, allow_missing=partly)
    else:
        with transfer(f"fetch {model}"):
            argus = Argus.load(str(model), device=chosen, allow_missing=partly)
    if model is None:
        terms = argus.licenses().in_words()
        print(f"model: {DEFAULT_MODEL} (built in, backbone {argus.backbone.name}; licences: {terms})", file=sys.stderr)
    _keep_allowed(argus, license)
    print_missing(argus)
    if canvas is not None:
        share_canvas(argus, canvas)
    return argus


def _keep_allowed(argus: Argus, level: str | None) -> None:
    """Leave out heads whose licence is not of a level; raises ArgusError for the backbone, or if no head is left."""
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
    """A context in which all heads share one pass of a canvas."""
    own, argus.canvas = argus.canvas, canvas
    try:
        yield
    finally:
        argus.canvas = own


def largest_canvas(argus: Argus) -> Canvas | None:
    """The largest canvas of its passes that divides into the cells of all heads, if any."""
    canvases = sorted((group.canvas for group in argus.passes()), key=lambda c: c.height * c.width, reverse=True)
    for canvas in canvases:
        with suppress(ArgusError):
            _check_canvas(argus, canvas)
            return canvas
    return None


def print_missing(argus: Argus) -> None:
    """Print the heads that were left out, and what to install for each, on stderr."""
    for name, reason in argus.missing.items():
        print(f"warning: {name} is left out: {reason}", file=sys.stderr)


def one_head(argus: Argus, task: str, head: str | None) -> str:
    """The head that answers for a task; if several could and ``head`` names none, stderr says which one does."""
    name = argus.find(task, head)
    candidates = [other for other in argus.heads if argus.head(other).task.name == task]
    if head is None and len(candidates) > 1:
        print(f"{name} answers, of {', '.join(candidates)}; choose with --head NAME", file=sys.stderr)
    return name


def _check_canvas(argus: Argus, canvas: Canvas) -> None:
    """Raise ArgusError, with the nearest sizes, for a canvas that does not divide into the backbone's cells."""
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
