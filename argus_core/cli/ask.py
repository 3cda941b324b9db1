"""Commands that look at images: perceive, classify, segment, depth, detect, correspond, features."""

from __future__ import annotations

from collections.abc import Callable

from argus_core.cli.inputs import check_image, find_sources, parse_point
from argus_core.cli.options import options_of
from argus_core.cli.requests import LookRequest, MatchRequest, TokensRequest, check_embeddings, split_names, tiling
from argus_core.errors import ArgusError
from argus_core.registry.places import check_asked

OPTIONS_OF_ONE_TASK = {
    "classify": ["top_k"],
    "detect": ["threshold", "annotations", "embeddings", "embedding_layer", "track"],
}

TILES = ("tiles", "overlap", "tile_merge")
"""Options of questions whose answers have a place in the image."""


@options_of(LookRequest, without=("head", "top_k", "weights"))
def perceive(request: LookRequest) -> None:
    """Everything at once: classes, masks, depth and objects of every image, one backbone pass per canvas."""
    look_at(request)


def _task_command(task: str, help: str) -> Callable[..., None]:
    """The command of one task, which one head answers."""
    others = [name for key, names in OPTIONS_OF_ONE_TASK.items() if key != task for name in names]
    others += TILES if task == "classify" else ()

    def command(request: LookRequest) -> None:
        look_at(request, task)

    command.__doc__ = help
    return options_of(LookRequest, without=("tasks", "each", "weights", *others))(command)


classify = _task_command("classify", "The best classes of every image.")
segment = _task_command("segment", "The class of every pixel: index masks, and overlays with a legend.")
depth = _task_command("depth", "Metres for every pixel: 16-bit PNG in millimetres, and pictures with a scale.")
detect = _task_command("detect", "The objects of every image: COCO results, and pictures with named boxes.")


@options_of(MatchRequest)
def correspond(request: MatchRequest) -> None:
    """Where points of one image lie in another: matches.json, and a picture with lines."""
    points = [parse_point(text) for text in request.points]
    for image in (request.first, request.second):
        check_image(image)
    check_asked(request.model, None, "correspond", request.head)
    tiling(request.tiles, request.overlap)
    from argus_core.cli.look import match_images

    match_images(request, points)


@options_of(TokensRequest)
def features(request: TokensRequest) -> None:
    """The backbone's tokens: safetensors files, their principal components as colours, similarity to a point."""
    point = None if request.point is None else parse_point(request.point)
    tiling(request.tiles, request.overlap)
    sources = find_sources(request.inputs, request.out)
    from argus_core.cli.features import show_tokens

    show_tokens(request, sources, point)


def look_at(request: LookRequest, task: str | None = None) -> None:
    """Check a request as far as that goes without torch, then look at its images; with ``task`` one head answers."""
    check_embeddings(request)
    tiling(request.tiles, request.overlap, request.tile_merge)
    sources = find_sources(request.inputs, request.out)
    if request.track and not any(source.moving for source in sources):
        raise ArgusError("--track follows objects from frame to frame, and none of the inputs is a film: leave it out")
    tasks = split_names(request.tasks)
    check_asked(request.model, tasks, task, request.head)
    from argus_core.cli.look import look

    look(request, sources, tasks, task)
