"""Look at every image with some heads, and write what they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from argus_core.argus import Argus
from argus_core.cli.inputs import Frame, find_sources, frames
from argus_core.cli.opening import one_head, open_model
from argus_core.cli.progress import progress_bar
from argus_core.draw import write_depth_png, write_index_png
from argus_core.errors import ArgusError, counted
from argus_core.files import write_json
from argus_core.results import ClassResult, DepthResult, DetectionResult, Result, SegmentResult


@dataclass(frozen=True)
class Question:
    """What all looking commands can be told; ``tasks`` are names of tasks or heads, None is all."""

    inputs: Sequence[str]
    model: str
    out: Path
    tasks: Sequence[str] | None
    threshold: float
    canvas: str | None
    pictures: bool
    every: int
    limit: int
    batch: int
    device: str | None
    license: str | None


def look(asked: Question, task: str | None = None, head: str | None = None, **options: Any) -> None:
    """Write results.jsonl, detections.json, maps and pictures; unreadable files are listed at the end, exit code 1.

    With ``task`` one head answers: ``head``, or the first that solves it.
    """
    sources = find_sources(asked.inputs, asked.out)
    argus = open_model(asked.model, asked.device, asked.canvas, asked.license)
    argus.batch = asked.batch
    names = argus.names(asked.tasks) if task is None else [one_head(argus, task, head)]
    writer = Writer(asked.out, asked.pictures)
    faults: list[str] = []
    seen = 0
    with progress_bar() as progress, writer:
        bar = progress.add_task("look", total=None if any(one.moving for one in sources) else len(sources))
        stream = chain.from_iterable(frames(source, asked.every, asked.limit) for source in sources)
        for chunk in _chunks(stream, asked.batch, faults):
            for frame, results in zip(chunk, _ask(argus, chunk, names, asked, options), strict=True):
                writer.write(frame, results)
            seen += len(chunk)
            progress.update(bar, completed=seen + len(faults))
    print(f"{counted(seen, 'image')}, {counted(len(names), 'head')} ({', '.join(names)}): {asked.out}")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    if not seen:
        raise ArgusError("none of the images could be read")
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
    return argus.answer([frame.image for frame in chunk], names, per_task)


class Writer:
    """Writes each answer as soon as it is there: a line of results.jsonl, maps and pictures under HEAD/."""

    def __init__(self, out: Path, pictures: bool) -> None:
        self.out, self.pictures = out, pictures
        self.detections: dict[str, list[dict[str, Any]]] = {}
        out.mkdir(parents=True, exist_ok=True)
        self._lines = (out / "results.jsonl").open("w", encoding="utf-8")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        for name, entries in self.detections.items():
            write_json(self.out / name / "detections.json", entries)

    def write(self, frame: Frame, results: dict[str, Result]) -> None:
        """Write what the heads say about one frame."""
        line: dict[str, Any] = {"image": frame.source, "name": frame.name}
        for name, result in results.items():
            folder = self.out / name
            line[name] = self._keep(name, folder, frame, result)
            if self.pictures:
                result.save_picture(folder / "pictures" / f"{frame.name}.jpg")
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _keep(self, name: str, folder: Path, frame: Frame, result: Result) -> Any:
        """What stands in the line; maps go into files of their own."""
        if isinstance(result, DetectionResult):
            self.detections.setdefault(name, []).extend(result.to_coco(frame.name))
            return result.entries
        if isinstance(result, ClassResult):
            return result.entries
        if isinstance(result, SegmentResult):
            file = folder / f"{frame.name}.png"
            write_index_png(file, result.labels, len(result.classes), result.ignore)
            return {"mask": str(file), "shares": result.shares()}
        if isinstance(result, DepthResult):
            file = folder / f"{frame.name}.png"
            write_depth_png(file, result.metres)
            return {"millimetres": str(file)}
        return result.to_dict()
