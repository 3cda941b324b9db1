"""Images of a folder that are worth annotating next: looked through, listed, and shown on a sheet."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from argus_core.argus import Argus
from argus_core.cli.load import one_head
from argus_core.cli.teach_request import TeachRequest
from argus_core.common.files import write_atomic, write_json
from argus_core.common.out_folder import OutFolder
from argus_core.common.progress import ProgressBar, finished
from argus_core.data import Split
from argus_core.errors import ArgusError, counted, several
from argus_core.image import list_images
from argus_core.teach.pool import Pool, Suggestion, look_through, suggest_from, vectors_of
from argus_core.teach.sheet import draw_sheet


def suggest_images(argus: Argus, request: TeachRequest, name: str, images: Sequence[Path], known: Split | None) -> None:
    """Print the images that the head ``name`` would learn most from, and write suggest.json and a sheet of them."""
    start = time.perf_counter()
    out = OutFolder(request.suggest_out, map(str, images), "suggest")
    with ProgressBar("suggest", len(images)) as bar:
        pool = look_through(argus, name, images, bar.update)
    found = suggest_from(pool, request.count, [] if known is None else vectors_of(argus, name, known))
    sheet, said = draw_sheet(argus, name, found)
    with out:
        write_json(out.file("suggest.json"), _as_json(name, pool, found, said))
        write_atomic(out.file("suggest.jpg"), lambda to: Image.fromarray(sheet).save(to, format="JPEG", quality=90))
    for number, (suggestion, words) in enumerate(zip(found, said, strict=True), 1):
        print(f"{number:>3}  {suggestion.image}  {words}")
    if pool.faults:
        print(f"notice: {counted(len(pool.faults), 'image')} left out: {several(pool.faults)}", file=sys.stderr)
    where = f"{request.suggest_out / 'suggest.jpg'}, of {counted(len(pool.images), 'image')}"
    finished(f"{len(found)} suggested", where, time.perf_counter() - start)


def pool_images(place: Path) -> list[Path]:
    """The images below a folder, or the one that a path is; raises ArgusError, with what is there, for none."""
    if place.is_file():
        return [place]
    listing = list_images(place)
    if not listing.paths:
        raise ArgusError(f"{place} holds no images{f', but {listing}' if listing.left_out else ''}")
    return listing.paths


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


def _as_json(name: str, pool: Pool, found: Sequence[Suggestion], said: Sequence[str]) -> dict[str, object]:
    rows = [
        {"image": str(suggestion.image), "doubt": round(suggestion.doubt, 4), "said": words}
        for suggestion, words in zip(found, said, strict=True)
    ]
    return {"head": name, "looked_through": len(pool.images), "suggested": rows, "faults": pool.faults}
