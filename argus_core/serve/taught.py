"""Heads that are solved from marks on photographs whose tokens are kept, what they answer, and how they are saved."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from argus_core.argus import Argus
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.model.heads import check_name
from argus_core.saving.checkpoint import save_head
from argus_core.serve.layers import layer_of
from argus_core.serve.look import Look, answers, result_of
from argus_core.serve.marks import Marks
from argus_core.serve.refusal import Refusal
from argus_core.tasks import Task
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment
from argus_core.teach.choices import OF_POINTS
from argus_core.teach.record import taught_record
from argus_core.teach.solve import Lesson, solve_head, unsolved_head
from argus_core.tokens import Needs

SOLVED: Mapping[str, tuple[str, Task, Mapping[str, Any]]] = {
    "segment": ("segment.ridge", Segment.small(), OF_POINTS),
    # Few images cannot tell more components apart, and these are solved while one waits.
    "detect": ("detect.closed_form", Detect.small(), {"size": 32}),
}
"""The head that is solved for each task, an example of the task, and the head's options."""


def needs_of(argus: Argus) -> dict[str, Needs]:
    """What the heads read that can be solved on this backbone, by task."""
    needs = {}
    for task, (kind, example, options) in SOLVED.items():
        with suppress(ArgusError):
            needs[task] = unsolved_head(kind, argus.backbone.info, example, options).needs.resolve(argus.backbone.info)
    return needs


def learn(argus: Argus, marks: Marks, looks: Sequence[Look]) -> Head:
    """The head solved from the tokens of ``looks``, one for each of ``marks.marked``, with its record."""
    start = time.perf_counter()
    lessons = [
        Lesson(look.placed, marks.truth(photo, look.size)) for photo, look in zip(marks.marked, looks, strict=True)
    ]
    backbone, (kind, _, options) = argus.backbone, SOLVED[marks.task]
    head = solve_head(kind, backbone.info, marks.make_task(), lessons, options, backbone.device)
    head.canvas, head.backbone_sha256 = argus.canvas_of(looks[0].encoded[0].group.heads[0]), backbone.weights_sha256
    counts = marks.counts()
    train = {"split": counted(sum(counts.values()), "mark"), "images": len(lessons)}
    taught = {"seconds": round(time.perf_counter() - start, 2), "marks_of_classes": counts}
    record = taught_record("argus serve:", train, head.canvas, backbone, taught)
    head.record = {**record, "notes": head.notes()}
    return head


@torch.no_grad()
def shown(argus: Argus, head: Head, look: Look) -> dict[str, Any]:
    """The answer of a head about an image as a layer; ``planes`` are its gzipped numbers in base64."""
    found = answers({"": head}, look.placed, look.size, argus.backbone.device)
    layer = layer_of(result_of(head.task, found[""], look.size))
    return {**layer.values, "planes": b64encode(layer.planes).decode()}


def head_file(head: Head) -> bytes:
    """The head alone, as a file that ``load_head`` and ``argus build`` read."""
    with tempfile.TemporaryDirectory(prefix="argus-") as folder:
        path = Path(folder, "head.safetensors")
        save_head(path, head, head.record)
        return path.read_bytes()


def save_model(argus: Argus, head: Head, name: str, folder: Path) -> Path:
    """Write ``argus`` with one head more, as a model called ``name`` in ``folder``: all of it, or nothing.

    Raises Refusal for a name that cannot be one, or that the folder or the model has already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", name):
        raise Refusal(f"{name[:60]!r} is no name for a head: take up to 60 of the letters a to z, digits, _ and -")
    check_name(name)
    if name in argus.heads or (folder / name).exists():
        raise Refusal(f"there is a head or a model {name!r} already; choose another name", 409)
    folder.mkdir(parents=True, exist_ok=True)
    grown = Argus(argus.backbone, {other: argus.head(other) for other in argus.heads}, argus.canvas)
    grown.add(name, head)
    unfinished = Path(tempfile.mkdtemp(".tmp", f".{name}.", folder))
    try:
        grown.save(unfinished / name)
        (unfinished / name).rename(folder / name)
    except FileExistsError as error:
        raise Refusal(f"there is a model {name!r} already; choose another name", 409) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / name
