"""Look at every image with some heads, and write what they say."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import typer

from argus_core.argus import Argus
from argus_core.cli.folder import OutFolder
from argus_core.cli.inputs import Frame, Source, frames
from argus_core.cli.load import one_head, open_model
from argus_core.cli.question import Question
from argus_core.common.files import write_json
from argus_core.common.progress import ProgressBar, finished
from argus_core.draw import write_depth_png, write_index_png
from argus_core.errors import ArgusError, counted, several
from argus_core.image import read_image
from argus_core.model import Perception
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import Detect, DetectionResult
from argus_core.tasks.detect.coco_ids import Numbering
from argus_core.tasks.segment import SegmentResult


def match_images(
    first: str,
    second: str,
    points: Sequence[tuple[float, float]],
    model: str | None,
    out: Path,
    head: str | None,
    canvas: str | None,
    device: str | None,
    license: str | None,
) -> None:
    """Write ``matches.json`` and ``matches.png``, and print every match."""
    folder = OutFolder(out, (first, second), "correspond")
    argus = open_model(model, device, canvas, license)
    picture = read_image(first)
    _check_points(points, first, picture.shape[1], picture.shape[0])
    result = argus.correspond(picture, second, points, one_head(argus, "correspond", head))
    with folder:
        write_json(folder.file("matches.json"), {"first": first, "second": second, **result.to_dict()})
        result.save_picture(folder.file("matches.png"))
    for row in result.to_dict()["matches"]:
        there = "nowhere" if row["match"] is None else "{:.1f},{:.1f} cosine {:.3f}".format(*row["match"], row["score"])
        back = {True: ", mutual", False: ", not mutual"}.get(row.get("mutual"), "")
        print("{:g},{:g} -> ".format(*row["point"]) + there + back)
    print(f"picture: {out / 'matches.png'}")


def _check_points(points: Sequence[tuple[float, float]], image: str, width: int, height: int) -> None:
    """Raise ArgusError for a point that is not in the image."""
    for x, y in points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise ArgusError(f"the point {x:g},{y:g} lies outside {image}, which is {width} wide and {height} high")


def look(
    asked: Question, sources: Sequence[Source], task: str | None = None, head: str | None = None, **options: Any
) -> None:
    """Write results.jsonl, detections.json, maps and pictures; unreadable files are listed at the end, exit code 1.

    With ``task`` one head answers: ``head``, or the first that solves it.
    """
    folder = OutFolder(asked.out, [source.address for source in sources])
    argus = open_model(asked.model, asked.device, asked.canvas, asked.license)
    argus.batch = asked.batch
    names = argus.names(asked.tasks) if task is None else [one_head(argus, task, head)]
    faults: list[str] = []
    seen, began = 0, time.perf_counter()
    moving = any(one.moving for one in sources)
    classes = {name: each.classes for name in names if isinstance(each := argus.head(name).task, Detect)}
    numbering = Numbering.find(asked.annotations, [one.address for one in sources], classes, moving)
    total = None if moving else len(sources)
    with ProgressBar("look", total) as progress, folder, Writer(folder, asked, numbering) as writer:
        stream = chain.from_iterable(frames(source, asked.every, asked.limit) for source in sources)
        for chunk in _chunks(stream, asked.batch, faults):
            for frame, results in zip(chunk, _ask(argus, chunk, names, asked, options), strict=True):
                writer.write(frame, results)
                if total == 1:
                    _tell(results)
            seen += len(chunk)
            progress.update(seen + len(faults))
        check_any(seen, faults)
    what = f"{counted(seen, 'image')}, {counted(len(names), 'head')} ({', '.join(names)})"
    if total == 1 and asked.pictures:
        print(f"picture: {folder.file(f'{frame.name}.png')}")
    finished(what, asked.out, time.perf_counter() - began)
    for note in numbering.notes:
        print(f"notice: {note}", file=sys.stderr)
    tell_left_out(faults)


def _tell(results: Mapping[str, Result]) -> None:
    """Print what every head says, in a line."""
    for name, result in results.items():
        print(f"{name}: {result.summary() or type(result).__name__}")


def check_any(seen: int, faults: Sequence[str]) -> None:
    """Raise ArgusError if no image was readable; within a folder's context, so that an earlier run's answers stay."""
    if not seen:
        raise ArgusError(f"none of the images could be read: {several(faults)}")


def tell_left_out(faults: Sequence[str]) -> None:
    """Name on stderr what could not be read; ends with exit code 1 then."""
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)


def _chunks(stream: Iterator[Frame], size: int, faults: list[str]) -> Iterator[list[Frame]]:
    """Readable frames, ``size`` at a time; the faults of the others are collected."""
    chunk: list[Frame] = []
    for frame in stream:
        if frame.image is None:
            faults.append(frame.fault)
            continue
        chunk.append(frame)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _ask(
    argus: Argus, chunk: Sequence[Frame], names: Sequence[str], asked: Question, options: dict[str, Any]
) -> list[dict[str, Result]]:
    """Every head's result for every frame."""
    per_task = {"detect": {"score_thresh": asked.threshold}, "classify": options}
    return argus.answer([frame.image for frame in chunk if frame.image is not None], names, per_task)


class Writer:
    """Writes each answer as soon as it is there: a line of results.jsonl, maps and pictures."""

    def __init__(self, folder: OutFolder, asked: Question, numbering: Numbering) -> None:
        self.folder, self.pictures, self.each = folder, asked.pictures, asked.each
        self.numbering = numbering
        self.detections: dict[str, list[dict[str, Any]]] = {}
        self._lines: IO[str] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
        for name, entries in self.detections.items():
            write_json(self.folder.file(name, "detections.json"), entries)

    def write(self, frame: Frame, results: dict[str, Result]) -> None:
        """Write what the heads say about one frame."""
        line: dict[str, Any] = {"image_id": frame.name, "file_name": frame.source}
        for name, result in results.items():
            line[name] = self._keep(name, frame, result)
            if self.each:
                result.save_picture(self.folder.file(name, "pictures", f"{frame.name}.jpg"))
        if self.pictures:
            Perception(results, {}, {}).save_picture(self.folder.file(f"{frame.name}.png"))
        if self._lines is None:  # not before there is an answer: an earlier run's are still good
            self._lines = self.folder.file("results.jsonl").open("w", encoding="utf-8")
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _keep(self, name: str, frame: Frame, result: Result) -> Any:
        """What stands in the line; maps go into files of their own."""
        if isinstance(result, DetectionResult):
            entries = self.numbering.entries(name, result, frame.name, frame.source)
            self.detections.setdefault(name, []).extend(entries)
            return result.entries
        if isinstance(result, ClassResult):
            return result.entries
        if isinstance(result, SegmentResult):
            file = self.folder.file(name, f"{frame.name}.png")
            write_index_png(file, result.labels, len(result.classes), result.ignore)
            return {"file": self._inside(file), "shares": result.shares()}
        if isinstance(result, DepthResult):
            file = self.folder.file(name, f"{frame.name}.png")
            write_depth_png(file, result.metres)
            return result.to_dict(self._inside(file))
        return result.to_dict()

    def _inside(self, file: Path) -> str:
        """Where a file lies from the folder on, so that the folder can be moved."""
        return file.relative_to(self.folder.out).as_posix()
