"""Run saved heads on images: one backbone pass per batch, a picture and COCO results for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from argus_arena.tools.trained_heads import open_run
from argus_core.argus import Argus
from argus_core.cli.folder import OutFolder
from argus_core.cli.inputs import tell_passed_over
from argus_core.common.device import find_device
from argus_core.common.files import write_json
from argus_core.common.progress import ProgressBar
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.image import IMAGES, list_images, read_image
from argus_core.saving.runs import backbone_of, canvas_of
from argus_core.tasks.detect import Detect, DetectionResult, Detections
from argus_core.tasks.detect.coco_ids import Numbering


def predict_images(
    run: Path,
    inputs: Sequence[Path],
    out: Path,
    threshold: float,
    weights: Path | None,
    batch: int,
    device: str | None,
    annotations: Path | None = None,
) -> list[str]:
    """Write ``HEAD/predictions.json`` and pictures under ``out``; returns what was wrong with images left out.

    ``annotations`` is a COCO file of the images, whose ids the predictions get.
    """
    heads, record = open_run(run)
    tasks = {name: _task(head) for name, head in heads.items()}
    own = {(out / name).resolve() for name in heads}  # pictures of an earlier call, where out lies among the inputs
    paths = [path for path in find_images(inputs) if path.resolve().parent not in own]
    sources = [str(path) for path in paths]
    numbering = Numbering.find(annotations, sources, {name: task.classes for name, task in tasks.items()})
    folder = OutFolder(out, sources, "predict")
    place = find_device(device)
    argus = Argus(backbone_of(record, weights, str(place)), heads, canvas_of(record)).to(place)
    names, bad = picture_names(paths), list[str]()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in heads}
    with folder:
        for path, name, found in _found(argus, paths, batch, bad, threshold):
            results[name] += numbering.entries(name, found, names[path], str(path))
            found.save_picture(folder.file(name, f"{names[path]}.jpg"))
        if len(bad) == len(paths):
            raise ArgusError("none of the images could be read:\n" + "\n".join(bad))
        for name, entries in results.items():
            write_json(folder.file(name, "predictions.json"), entries)
    _tell(results, len(paths) - len(bad), out, [*(f"notice: {one}" for one in numbering.notes), *map(_left_out, bad)])
    return bad


def _found(
    argus: Argus, paths: Sequence[Path], batch: int, bad: list[str], threshold: float
) -> Iterator[tuple[Path, str, DetectionResult]]:
    """What each head finds in each image that can be read; why the others cannot is added to ``bad``."""
    with ProgressBar("predict", len(paths)) as progress:
        for chunk in _readable(paths, batch, bad):
            for name, detections in argus([image for _, image in chunk]).items():
                task = _task(argus.head(name))
                for (path, image), found in zip(chunk, detections, strict=True):
                    yield path, name, task.result(found, image, score_thresh=threshold)
            progress.advance(len(chunk))


def _tell(results: Mapping[str, Sequence[Any]], seen: int, out: Path, notes: Sequence[str]) -> None:
    for name, entries in results.items():
        print(f"{name}: {counted(len(entries), 'detection')} in {counted(seen, 'image')}, {out / name}")
    for note in notes:
        print(note, file=sys.stderr)


def _left_out(fault: str) -> str:
    return f"left out: {fault}"


def _task(head: Head) -> Detect:
    if not isinstance(head.task, Detect):
        raise ArgusError(
            f"head {head.name!r} solves {head.task.name}; `arena predict` draws detections, "
            "`argus perceive --model RUN` all tasks"
        )
    return head.task


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """The files given, and every image below the folders given, in order of name."""
    found: list[Path] = []
    listings = []
    for path in inputs:
        if path.is_dir():
            listings.append(list_images(path))
            found += listings[-1].paths
        else:
            found.append(path)  # one that is missing is told with those that cannot be read
    tell_passed_over(listings)
    if found and not any(path.exists() for path in found):
        raise ArgusError(f"there is no file or folder {', '.join(map(str, found))}")
    if not found:
        raise ArgusError(f"no images in {', '.join(map(str, inputs))}; looked for {' '.join(sorted(IMAGES))}")
    return list(dict.fromkeys(found))


def above(found: Detections, threshold: float) -> Detections:
    """The detections that score at least ``threshold``."""
    kept = found.scores >= threshold
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept])


def _readable(paths: Sequence[Path], batch: int, bad: list[str]) -> Iterator[list[tuple[Path, Any]]]:
    chunk: list[tuple[Path, Any]] = []
    for path in paths:
        try:
            chunk.append((path, read_image(path)))
        except ArgusError as error:
            bad.append(str(error))
        if len(chunk) == batch:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def picture_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name of its own for each image's picture: the file's, numbered where several images share it."""
    taken = {path.stem for path in paths}
    seen: set[str] = set()
    names = {}
    for path in paths:
        free = (f"{path.stem}-{number}" for number in count(1))
        names[path] = path.stem if path.stem not in seen else next(name for name in free if name not in taken)
        seen.add(path.stem)
        taken.add(names[path])
    return names
