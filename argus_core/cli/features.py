"""Write and show the backbone's tokens."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.inputs import Frame, Frames, Source, frames
from argus_core.cli.load import open_model
from argus_core.cli.requests import TokensRequest, tiling
from argus_core.common.files import write_atomic
from argus_core.common.out_folder import OutFolder
from argus_core.common.tensors import save_tensors
from argus_core.draw import draw_pca, draw_similarity
from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError, counted
from argus_core.tokens import Needs


def show_tokens(request: TokensRequest, sources: Sequence[Source], point: tuple[float, float] | None) -> None:
    """NAME.safetensors (map, cls), NAME-pca.png and, with a point, NAME-similar.png for every image."""
    folder = OutFolder(request.out, [source.address for source in sources], "features")
    if point is not None:
        _check_point(point, sources)
    argus = open_model(request.model, request.device, request.canvas, request.require_license)
    argus.tiling = tiling(request.tiles, request.overlap)
    canvas = argus.canvas or argus.passes()[0].canvas
    frames = Frames(sources, request.every, request.limit)
    with frames.finishing(lambda: f"features of {counted(frames.seen, 'image')}", request.out), folder:
        for (frame,) in frames.batches(1, "features"):
            _show(argus, canvas, request.layer, frame, folder, point)
    frames.exit_with_faults()


def _check_point(point: tuple[float, float], sources: Sequence[Source]) -> None:
    """Raise ArgusError, before anything is written, if the point is outside an image or the first frame of a video."""
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
    argus: Argus, canvas: Canvas, layer: int, frame: Frame, folder: OutFolder, point: tuple[float, float] | None
) -> None:
    image = frame.image
    assert image is not None
    needs = Needs(layers=(layer,), cls=True)
    canvas = argus.canvas_for(canvas, (image.shape[0], image.shape[1]), argus.tiling)
    tokens, (placement,) = argus.tokens([image], canvas, needs)
    features = tokens.features(needs)
    maps, cls = features.map[0].cpu(), features.cls[0][0].cpu()
    stride = argus.backbone.info.strides[layer]
    tensors = {"map": maps.contiguous(), "cls": cls.contiguous()}
    write_atomic(folder.file(f"{frame.name}.safetensors"), lambda to: save_tensors(tensors, to, {}))
    _save(draw_pca(maps, stride, placement.extent, (image.shape[0], image.shape[1])), folder, f"{frame.name}-pca.png")
    if point is not None:
        similar = draw_similarity(image, maps, stride, point, placement.extent)
        _save(similar, folder, f"{frame.name}-similar.png")


def _save(pixels: Pixels, folder: OutFolder, name: str) -> None:
    write_atomic(folder.file(name), lambda to: Image.fromarray(pixels).save(to, format="PNG"))
