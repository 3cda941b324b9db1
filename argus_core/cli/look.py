"""Run heads on images and write their results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from argus_core.cli.folder import OutFolder
from argus_core.cli.inputs import Frame, Frames, Source
from argus_core.cli.load import one_head, open_model
from argus_core.cli.requests import LookRequest, MatchRequest
from argus_core.common.files import write_json
from argus_core.draw import write_depth_png, write_index_png
from argus_core.errors import ArgusError, counted
from argus_core.image import read_image
from argus_core.model import Perception
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import Detect, DetectionResult
from argus_core.tasks.detect.coco_ids import Numbering
from argus_core.tasks.segment import SegmentResult


def match_images(request: MatchRequest, points: Sequence[tuple[float, float]]) -> None:
    """Write ``matches.json`` and ``matches.png``, and print every match."""
    folder = OutFolder(request.out, (request.first, request.second), "correspond")
    argus = open_model(request.model, request.device, request.canvas, request.require_license)
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
    """Write results.jsonl, detections.json, maps and pictures; unreadable files are listed at the end, exit code 1.

    The heads of ``tasks`` answer, by default all; with ``task`` one head: the one asked for, or the first that
    solves it, with a picture of its own.
    """
    addresses = [source.address for source in sources]
    folder = OutFolder(request.out, addresses)
    argus = open_model(request.model, request.device, request.canvas, request.require_license, weights=request.weights)
    argus.batch = request.batch
    names = argus.names(tasks) if task is None else [one_head(argus, task, request.head)]
    frames = Frames(sources, request.every, request.limit)
    detectors = {name: head.classes for name in names if isinstance(head := argus.head(name).task, Detect)}
    numbering = Numbering.find(request.annotations, addresses, detectors, frames.total is None)
    pictures, each = (request.pictures, request.each) if task is None else (False, request.pictures)
    options: dict[str, dict[str, Any]] = {
        "detect": {"score_thresh": request.threshold},
        "classify": {"top_k": request.top_k},
    }
    with folder, Writer(folder, pictures, each, numbering) as writer:
        for batch in frames.batches(request.batch, "look"):
            images = [frame.image for frame in batch if frame.image is not None]
            for frame, results in zip(batch, argus.answer(images, names, options), strict=True):
                writer.write(frame, results)
                if frames.total == 1:
                    _print(frame, results, request.out if pictures else None)
    frames.finish(f"{counted(frames.seen, 'image')}, {counted(len(names), 'head')} ({', '.join(names)})", request.out)
    for note in numbering.notes:
        print(f"notice: {note}", file=sys.stderr)
    frames.exit_with_faults()


def _print(frame: Frame, results: Mapping[str, Result], pictures: Path | None) -> None:
    """Print every result in a line, and the path of the picture."""
    for name, result in results.items():
        print(f"{name}: {result.summary() or type(result).__name__}")
    if pictures is not None:
        print(f"picture: {pictures / frame.name}.png")


class Writer:
    """Writes results as soon as they are there: a line of results.jsonl, maps and pictures."""

    def __init__(self, folder: OutFolder, pictures: bool, each: bool, numbering: Numbering) -> None:
        self.folder, self.pictures, self.each, self.numbering = folder, pictures, each, numbering
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
        """Write the results for one frame."""
        line: dict[str, Any] = {"image_id": frame.name, "file_name": frame.source}
        for name, result in results.items():
            line[name] = self._keep(name, frame, result)
            if self.each:
                result.save_picture(self.folder.file(name, "pictures", f"{frame.name}.jpg"))
        if self.pictures:
            Perception(results, {}, {}).save_picture(self.folder.file(f"{frame.name}.png"))
        if self._lines is None:  # only now: until there is a result, those of an earlier run are kept
            self._lines = self.folder.file("results.jsonl").open("w", encoding="utf-8")
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _keep(self, name: str, frame: Frame, result: Result) -> Any:
        """The head's entry in the line; maps go into files of their own."""
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
        """The path of a file relative to the folder, so that the folder can be moved."""
        return file.relative_to(self.folder.out).as_posix()
