"""Write and show what the backbone sees."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import typer
from PIL import Image
from safetensors.torch import save_file

from argus_core.canvas import Canvas
from argus_core.cli.inputs import Source, find_sources, frames
from argus_core.cli.opening import open_model
from argus_core.cli.pairs import parse_point
from argus_core.cli.progress import progress_bar
from argus_core.draw import draw_pca, draw_similarity
from argus_core.errors import ArgusError
from argus_core.files import write_atomic
from argus_core.tokens import Needs


def show_tokens(
    inputs: Sequence[str],
    model: str,
    out: Path,
    point: str | None,
    layer: int,
    canvas: str | None,
    every: int,
    limit: int,
    device: str | None,
    license: str | None,
) -> None:
    """NAME.safetensors (map, cls), NAME-pca.png and, with a point, NAME-similar.png for every image."""
    asked = None if point is None else parse_point(point)
    sources = find_sources(inputs, out)
    if asked is not None:
        _check_point(asked, sources)
    argus = open_model(model, device, canvas, license)
    chosen = argus.canvas or next(iter(argus.passes())).canvas
    faults = []
    with progress_bar() as progress:
        bar = progress.add_task("features", total=None if any(one.moving for one in sources) else len(sources))
        for frame in chain.from_iterable(frames(source, every, limit) for source in sources):
            if frame.image is None:
                faults.append(frame.fault)
            else:
                _show(argus, chosen, layer, frame.image, out / frame.name, asked)
            progress.advance(bar)
    print(f"features: {out}")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)


def _check_point(point: tuple[float, float], sources: Sequence[Source]) -> None:
    """Raise ArgusError, before anything is written, if the point is not in every image; of videos the first counts."""
    for source in sources:
        for frame in frames(source, 1, 1):
            if frame.image is None:
                continue
            height, width = frame.image.shape[:2]
            if not (0 <= point[0] <= width and 0 <= point[1] <= height):
                raise ArgusError(
                    f"--point {point[0]:g},{point[1]:g} is outside {frame.source} of {width}x{height} px "
                    "(width x height); give X,Y inside every image"
                )


def _show(argus: Any, canvas: Canvas, layer: int, image: Any, base: Path, point: tuple[float, float] | None) -> None:
    needs = Needs(layers=(layer,), cls=True)
    tokens, places = argus.tokens([image], canvas, needs)
    features = tokens.features(needs)
    maps, cls = features.map[0].cpu(), features.cls[0][0].cpu()
    stride = argus.backbone.info.strides[layer]
    tensors = {"map": maps.contiguous(), "cls": cls.contiguous()}
    write_atomic(base.with_name(base.name + ".safetensors"), lambda to: save_file(tensors, to))
    picture = Image.fromarray(draw_pca(maps, stride, places[0].extent, (image.shape[0], image.shape[1])))
    write_atomic(base.with_name(base.name + "-pca.png"), lambda to: picture.save(to, format="PNG"))
    if point is not None:
        alike = Image.fromarray(draw_similarity(image, maps, stride, point, places[0].extent))
        write_atomic(base.with_name(base.name + "-similar.png"), lambda to: alike.save(to, format="PNG"))
