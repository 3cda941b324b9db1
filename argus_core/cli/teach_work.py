"""The work of the command that teaches."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.load import open_model
from argus_core.cli.suggesting import head_to_ask, pool_images, suggest_images
from argus_core.cli.teach_request import TeachRequest
from argus_core.common.license import require
from argus_core.common.options import parse_size
from argus_core.common.progress import ProgressBar, duration, finished, working
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import find_opener
from argus_core.teach.teach import Taught, TeachOptions, find_split, teach


def teach_model(request: TeachRequest, settings: Mapping[str, Any]) -> None:
    """Solve the head, write the model with it, and suggest images, as far as each is asked for."""
    pool = [] if request.suggest is None else pool_images(request.suggest)
    argus = open_model(request.model, request.device, license=request.require_license)
    if request.data is None:
        suggest_images(argus, request, head_to_ask(argus, request), pool, None)
        return
    spec, split = find_split(request.data, request.split)
    if request.out is not None and request.out.resolve() == Path(find_opener(spec)[2]).resolve():
        raise ArgusError(f"{request.out} holds the annotated images; choose another --out")
    taught = _teach(argus, spec, split, request, settings)
    require(argus, request.require_license)
    _print(taught)
    if request.out is not None:
        _save(argus, request, taught)
    if request.suggest is not None:
        suggest_images(argus, request, taught.name, pool, split)


def _teach(argus: Argus, spec: str, split: Split, request: TeachRequest, settings: Mapping[str, Any]) -> Taught:
    options = TeachOptions(
        task=request.task,
        head=request.head,
        name=request.name,
        canvas=None if request.canvas is None else Canvas(*parse_size(request.canvas)),
        options=settings,
        folds=request.folds,
        replace=request.replace,
        accept_faults=request.accept_faults,
    )
    with ProgressBar("teach") as bar:
        return teach(argus, spec, split, options, lambda text: bar.print(f"warning: {text}"), _progress(bar))


def _progress(bar: ProgressBar) -> Any:
    return lambda done, total: bar.update(done, total=total)


def _print(taught: Taught) -> None:
    print(f"{taught}\ntaught in {duration(taught.seconds)}")
    for note in taught.notes:
        print(f"notice: {note}", file=sys.stderr)


def _save(argus: Argus, request: TeachRequest, taught: Taught) -> None:
    """Write the model, and say how it is asked."""
    assert request.out is not None
    start = time.perf_counter()
    with working("write"):
        argus.save(request.out, variant=request.variant)
    alike = [name for name in argus.heads if argus.head(name).task.name == taught.task]
    which = f" --head {taught.name}" if len(alike) > 1 else ""
    finished("model", request.out, time.perf_counter() - start)
    print(f"argus {taught.task} PHOTO --model {shlex.quote(str(request.out))}{which}")
