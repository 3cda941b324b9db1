"""Images of a folder that are worth annotating next: looked through, listed, and shown on a sheet."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from argus_core.argus import Argus
from argus_core.cache.sidecar import attempt
from argus_core.cli.load import one_head
from argus_core.cli.teach_request import TeachRequest
from argus_core.common.files import file_sha256, write_atomic, write_json
from argus_core.common.out_folder import OutFolder
from argus_core.common.progress import ProgressBar, finished
from argus_core.data import DataSet
from argus_core.errors import ArgusError, counted, several
from argus_core.image import list_images
from argus_core.teach.lessons import SplitLessons
from argus_core.teach.pool import Pool, Suggestion, look_through, suggest_from, vectors_of
from argus_core.teach.sheet import draw_sheet


@dataclass(frozen=True)
class Candidates:
    """Images that may be suggested, and how many others of their folder are ``annotated`` already."""

    images: Sequence[Path]
    annotated: int = 0

    def without(self, data: DataSet) -> Candidates:
        """Those that are no copies, byte for byte, of an image of the data; raises ArgusError if none are left."""
        known = {attempt(split.digest, index) for split in data.values() for index in range(len(split))}
        images = [path for path in self.images if _digest(path) not in known - {""}]
        if not images:
            raise ArgusError(f"all {counted(len(self.images), 'image')} to choose from are annotated already")
        return Candidates(images, len(self.images) - len(images))


def suggest_images(
    argus: Argus, request: TeachRequest, name: str, candidates: Candidates, lessons: SplitLessons | None
) -> None:
    """Print the images that the head ``name`` would learn most from, and write suggest.json and a sheet of them."""
    start, images, out = time.perf_counter(), candidates.images, folder_for(request, candidates)
    with ProgressBar("suggest", len(images)) as bar:
        pool = look_through(argus, name, images, bar.update)
    found = suggest_from(pool, request.count, [] if lessons is None else vectors_of(argus, lessons))
    sheet, said = draw_sheet(argus, name, found)
    with out:
        write_json(out.file("suggest.json"), _as_json(name, pool, candidates.annotated, found, said))
        write_atomic(out.file("suggest.jpg"), lambda to: Image.fromarray(sheet).save(to, format="JPEG", quality=90))
    for number, (suggestion, words) in enumerate(zip(found, said, strict=True), 1):
        print(f"{number:>3}  {suggestion.image}  {words}")
    _print_left_out(pool, candidates.annotated)
    where = f"{request.suggest_out / 'suggest.jpg'}, of {counted(len(pool.images), 'image')}"
    finished(f"{len(found)} suggested", where, time.perf_counter() - start)


def folder_for(request: TeachRequest, candidates: Candidates) -> OutFolder:
    """The folder of the suggestions; raises ArgusError for one that holds something else."""
    return OutFolder(request.suggest_out, map(str, candidates.images), "suggest", option="--suggest-out")


def _print_left_out(pool: Pool, annotated: int) -> None:
    if annotated:
        print(f"notice: {counted(annotated, 'image')} left out: annotated already", file=sys.stderr)
    if pool.faults:
        print(f"notice: {counted(len(pool.faults), 'image')} left out: {several(pool.faults)}", file=sys.stderr)


def find_candidates(place: Path) -> Candidates:
    """The images below a folder, or the one that a path is; raises ArgusError, with what is there, for none."""
    if place.is_file():
        return Candidates([place])
    listing = list_images(place)
    if not listing.paths:
        raise ArgusError(f"{place} holds no images{f', but {listing}' if listing.left_out else ''}")
    return Candidates(listing.paths)


def _digest(path: Path) -> str:
    """sha256 (hex) of a file's bytes; of one that cannot be read, which is reported when it is looked at, none."""
    try:
        return file_sha256(path)
    except OSError:
        return ""


def head_to_ask(argus: Argus, request: TeachRequest) -> str:
    """The head that suggests where none was taught: the one named, that of the task, or the only one."""
    unsure = [name for name in argus.heads if argus.head(name).task.floor]
    if request.name is not None or request.task is not None:
        name = argus.names([request.name])[0] if request.name else one_head(argus, request.task or "", None)
        if name not in unsure:
            others = " or ".join(unsure) or "another model"
            raise ArgusError(f"head {name!r} does not tell how sure it is; ask {others}")
        return name
    if len(unsure) != 1:
        raise ArgusError(f"say which head shall suggest images: --name NAME, of {', '.join(unsure) or 'none'}")
    return unsure[0]


def _as_json(
    name: str, pool: Pool, annotated: int, found: Sequence[Suggestion], said: Sequence[str]
) -> dict[str, object]:
    rows = [
        {"image": str(suggestion.image), "doubt": round(suggestion.doubt, 4), "said": words}
        for suggestion, words in zip(found, said, strict=True)
    ]
    counts = {"looked_through": len(pool.images), "annotated": annotated}
    return {"head": name, **counts, "suggested": rows, "faults": pool.faults}
