"""Run heads on images and write their results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from argus_core.argus import Argus
from argus_core.cli.film import Films
from argus_core.cli.identities import Identities
from argus_core.cli.inputs import Frame, Frames, Source
from argus_core.cli.load import one_head, open_model
from argus_core.cli.requests import LookRequest, MatchRequest, split_names, tiling
from argus_core.common.files import write_json
from argus_core.common.out_folder import OutFolder
from argus_core.errors import ArgusError, counted, several
from argus_core.formats import ResultFiles
from argus_core.formats.coco_ids import Numbering
from argus_core.formats.table import ALWAYS, LABELS, check_tasks
from argus_core.formats.writer import Record
from argus_core.image import read_image
from argus_core.model import Perception
from argus_core.model.shrunk import Shrunk
from argus_core.tasks import Result
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment


def match_images(request: MatchRequest, points: Sequence[tuple[float, float]]) -> None:
    """Write ``matches.json`` and ``matches.png``, and print every match."""
    folder = OutFolder(request.out, (request.first, request.second), "correspond")
    argus = open_model(request.model, request.device, request.canvas, request.require_license)
    argus.tiling = tiling(request.tiles, request.overlap)
    picture = read_image(request.first)
    _check_points(points, request.first, picture.shape[1], picture.shape[0])
    result = argus.correspond(picture, request.second, points, one_head(argus, "correspond", request.head))
    answer = result.to_dict()
    with folder:
        write_json(folder.file("matches.json"), {"first": request.first, "second": request.second, **answer})
        result.save_picture(folder.file("matches.png"))
    for row in answer["matches"]:
        there = "nowhere" if row["match"] is None else "{:.1f},{:.1f} cosine {:.3f}".format(*row["match"], row["score"])
        back = {True: ", mutual", False: ", not mutual"}.get(row.get("mutual"), "")
        print("{:g},{:g} -> ".format(*row["point"]) + there + back)
    print(f"picture: {request.out / 'matches.png'}")


def _check_points(points: Sequence[tuple[float, float]], image: str, width: int, height: int) -> None:
    """Raise ArgusError for a point that is not in the image."""
    for x, y in points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise ArgusError(f"the point {x:g},{y:g} lies outside {image}, which is {width} wide and {height} high")


def look(request: LookRequest, sources: Sequence[Source], tasks: Sequence[str] | None, task: str | None) -> None:
    """Write results.jsonl, detections.json, maps, pictures and films; unreadable files are listed last, exit code 1.

    The heads of ``tasks`` answer, by default all; with ``task`` one head: the one asked for, or the first that
    solves it, with a picture of its own.
    """
    addresses = [source.address for source in sources]
    folder = OutFolder(request.out, addresses)
    argus = open_model(request.model, request.device, request.canvas, request.require_license, weights=request.weights)
    argus.batch, argus.embedding_layer = request.batch, request.embedding_layer
    argus.tiling = tiling(request.tiles, request.overlap, request.tile_merge)
    names = argus.names(tasks) if task is None else [one_head(argus, task, request.head)]
    frames = Frames(sources, request.every, request.limit)
    files = _result_files(request, argus, names, addresses, folder, frames.moving)
    shrunk, canvases = Shrunk("add --tiles auto to see them"), argus.shrinking(names)
    identities = Identities(request, {name: argus.head(name).task for name in names})
    options: dict[str, dict[str, Any]] = {
        "detect": {"score_thresh": identities.lowest},
        "classify": {"top_k": request.top_k},
    }
    heads = f"{counted(len(names), 'head')} ({', '.join(names)})"
    told = frames.finishing(lambda: f"{counted(files.count, 'image')}, {heads}", request.out)
    with told, files, Films(folder, request.limit) as films:
        for batch in frames.batches(request.batch, "look"):
            images = [frame.image for frame in batch if frame.image is not None]
            answers = argus.answer(images, names, options, embeddings=identities.embeddings)
            for image in images:
                shrunk.add((image.shape[0], image.shape[1]), canvases)
            for frame, results in zip(batch, map(identities.update, batch, answers), strict=True):
                record = files.add(_record(frame, results))
                _draw(request, task is None, folder, films, frame, record)
                if len(sources) == 1 and not frame.film:
                    _print(record, request.out if request.pictures and task is None else None)
    for line in identities.told():
        print(line)
    for note in [*_notes(files, sources), *shrunk.notes()]:
        print(f"notice: {note}", file=sys.stderr)
    frames.exit_with_faults()


def _result_files(
    request: LookRequest, argus: Argus, names: Sequence[str], sources: Sequence[str], folder: OutFolder, moving: bool
) -> ResultFiles:
    """What will write the answers of some heads, in the formats that are always written and those asked for."""
    asked, tasks = split_names(request.save) or (), {name: argus.head(name).task for name in names}
    check_tasks(asked, (task.name for task in tasks.values()))
    numbered = (Detect, Segment) if "rle" in asked else (Detect,)
    classes = {name: task.classes for name, task in tasks.items() if isinstance(task, numbered)}
    numbering = Numbering.find(request.annotations, sources, classes, moving)
    return ResultFiles(folder, (*ALWAYS, *asked), numbering=numbering)


def _notes(files: ResultFiles, sources: Sequence[Source]) -> Iterator[str]:
    """What the user should know about the files."""
    yield from files.numbering.notes
    renamed = [f"{source.place} is of {source.address}" for source in sources if source.renamed]
    if renamed and set(files.formats) & set(LABELS):
        yield f"labels that are not called like their image, because another image is: {several(renamed)}"


def _record(frame: Frame, results: Mapping[str, Result]) -> Record:
    """What is to be written about a frame."""
    assert frame.image is not None
    file = Path(frame.source).absolute() if frame.number is None and "://" not in frame.source else None
    return Record(frame.name, frame.place, frame.source, frame.image, results, file, frame.number, frame.time)


def _draw(request: LookRequest, together: bool, folder: OutFolder, films: Films, frame: Frame, record: Record) -> None:
    """A picture of all answers ``together``, or one of each; of a frame of a film, the next of the annotated one."""
    each = request.each or (request.pictures and not together and not frame.film)
    for name, result in record.results.items() if each else ():
        result.save_picture(folder.file(name, "pictures", f"{record.name}.jpg"))
    if request.pictures and frame.film:
        films.add(frame, record.results)
    elif request.pictures and together:
        Perception(record.results, {}, {}).save_picture(folder.file(f"{record.name}.png"))


def _print(record: Record, pictures: Path | None) -> None:
    """Print every result in a line, and the path of the picture."""
    for name, result in record.results.items():
        print(f"{name}: {result.summary() or type(result).__name__}")
    if pictures is not None:
        print(f"picture: {pictures / record.name}.png")
