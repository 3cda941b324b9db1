"""Write and show what the backbone sees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import save_file

from argus_core.canvas import Canvas
from argus_core.cli.folder import OutFolder
from argus_core.cli.inputs import Frame, Source, frames
from argus_core.cli.load import open_model
from argus_core.cli.look import check_any, tell_left_out
from argus_core.common.files import write_atomic
from argus_core.common.progress import ProgressBar, finished
from argus_core.draw import draw_pca, draw_similarity
from argus_core.errors import ArgusError, counted
from argus_core.tokens import Needs


def show_tokens(
    sources: Sequence[Source],
    model: str | None,
    out: Path,
    point: tuple[float, float] | None,
    layer: int,
    canvas: str | None,
    every: int,
    limit: int,
    device: str | None,
    license: str | None,
) -> None:
    """NAME.safetensors (map, cls), NAME-pca.png and, with a point, NAME-similar.png for every image."""
    folder = OutFolder(out, [source.address for source in sources], "features")
    if point is not None:
        _check_point(point, sources)
    argus = open_model(model, device, canvas, license)
    chosen = argus.canvas or next(iter(argus.passes())).canvas
    faults: list[str] = []
    seen, began = 0, time.perf_counter()
    total = None if any(one.moving for one in sources) else len(sources)
    with ProgressBar("features", total) as progress, folder:
        for frame in chain.from_iterable(frames(source, every, limit) for source in sources):
            if frame.image is None:
                faults.append(frame.fault)
            else:
                _show(argus, chosen, layer, frame, folder, point)
                seen += 1
            progress.advance()
        check_any(seen, faults)
    finished(f"features of {counted(seen, 'image')}", out, time.perf_counter() - began)
    tell_left_out(faults)


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


def _show(
    argus: Any, canvas: Canvas, layer: int, frame: Frame, folder: OutFolder, point: tuple[float, float] | None
) -> None:
    image = frame.image
    assert image is not None
    needs = Needs(layers=(layer,), cls=True)
    tokens, places = argus.tokens([image], canvas, needs)
    features = tokens.features(needs)
    maps, cls = features.map[0].cpu(), features.cls[0][0].cpu()
    stride = argus.backbone.info.strides[layer]
    tensors = {"map": maps.contiguous(), "cls": cls.contiguous()}
    write_atomic(folder.file(f"{frame.name}.safetensors"), lambda to: save_file(tensors, to))
    _save(draw_pca(maps, stride, places[0].extent, (image.shape[0], image.shape[1])), folder, f"{frame.name}-pca.png")
    if point is not None:
        alike = draw_similarity(image, maps, stride, point, places[0].extent)
        _save(alike, folder, f"{frame.name}-similar.png")


def _save(pixels: Any, folder: OutFolder, name: str) -> None:
    write_atomic(folder.file(name), lambda to: Image.fromarray(pixels).save(to, format="PNG"))
