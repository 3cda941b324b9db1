"""Run heads on images and write their results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
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
from argus_core.model.flags import flag_summary
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
    folder = OutFolder(request.out, [source.address for source in sources])
    argus = open_model(request.model, request.device, request.canvas, request.require_license, weights=request.weights)
    argus.batch, argus.embedding_layer = request.batch, request.embedding_layer
    argus.tiling = tiling(request.tiles, request.overlap, request.tile_merge)
    names = argus.names(tasks) if task is None else [one_head(argus, task, request.head)]
    frames = Frames(sources, request.every, request.limit)
    written = _Written(request, argus, names, sources, folder, together=task is None)
    heads = f"{counted(len(names), 'head')} ({', '.join(names)})"
    with frames.finishing(lambda: f"{counted(written.count, 'image')}, {heads}", request.out), written:
        for batch in frames.batches(request.batch, "look"):
            images = [frame.image for frame in batch if frame.image is not None]
            answers = argus.answer(images, names, written.options, embeddings=written.embeddings)
            for frame, results in zip(batch, answers, strict=True):
                written.add(frame, results)
    written.tell()
    frames.exit_with_faults()


class _Written(ExitStack):
    """A context that writes the answers of heads about frames, in their order: results, pictures and films.

    It asks for ``options`` and ``embeddings``, and draws one picture of all answers ``together``, or one of each.
    """

    def __init__(
        self,
        request: LookRequest,
        argus: Argus,
        names: Sequence[str],
        sources: Sequence[Source],
        folder: OutFolder,
        together: bool,
    ) -> None:
        super().__init__()
        self._request, self._sources, self._folder, self._together = request, sources, folder, together
        moving = any(source.moving for source in sources)
        self._files = _result_files(request, argus, names, [source.address for source in sources], folder, moving)
        self._films = Films(folder, request.limit)
        self._shrunk, self._canvases = Shrunk("add --tiles auto to see them"), argus.shrinking(names)
        self._identities = Identities(request, {name: argus.head(name).task for name in names})
        self.embeddings = self._identities.embeddings
        self.options: dict[str, dict[str, Any]] = {
            "detect": {"score_thresh": self._identities.lowest},
            "classify": {"top_k": request.top_k},
        }

    def __enter__(self) -> _Written:
        super().__enter__()
        self.enter_context(self._files)
        self.enter_context(self._films)
        return self

    @property
    def count(self) -> int:
        """How many frames are written."""
        return self._files.count

    def add(self, frame: Frame, results: Mapping[str, Result]) -> None:
        """Write what is said about a frame; of a single photograph it is also printed."""
        assert frame.image is not None
        self._shrunk.add((frame.image.shape[0], frame.image.shape[1]), self._canvases)
        record = self._files.add(_record(frame, self._identities.update(frame, results)))
        self._draw(frame, record)
        if len(self._sources) == 1 and not frame.film:
            _print(record, self._request.out if self._request.pictures and self._together else None)

    def tell(self) -> None:
        """Print the numbers of identities, and what the user should know."""
        for line in self._identities.told():
            print(line)
        for note in [*_notes(self._files, self._sources), *self._shrunk.notes()]:
            print(f"notice: {note}", file=sys.stderr)

    def _draw(self, frame: Frame, record: Record) -> None:
        """A picture of all answers, or one of each; of a frame of a film, the next of the annotated one."""
        pictures = self._request.pictures
        each = self._request.each or (pictures and not self._together and not frame.film)
        for name, result in record.results.items() if each else ():
            result.save_picture(self._folder.file(name, "pictures", f"{record.name}.jpg"))
        if pictures and frame.film:
            self._films.add(frame, record.results)
        elif pictures and self._together:
            Perception(record.results, {}, {}).save_picture(self._folder.file(f"{record.name}.png"))


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


def _print(record: Record, pictures: Path | None) -> None:
    """Print every result in a line, and the path of the picture."""
    for name, result in record.results.items():
        print(f"{name}: {result.summary() or type(result).__name__}")
    if flags := Perception(record.results, {}, {}).flags:
        print(f"flags: {flag_summary(flags)}")
    if pictures is not None:
        print(f"picture: {pictures / record.name}.png")
