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
from argus_core.cli.suggesting import Candidates, find_candidates, folder_for, head_to_ask, suggest_images
from argus_core.cli.teach_request import TeachRequest
from argus_core.common.license import require
from argus_core.common.options import parse_size
from argus_core.common.progress import ProgressBar, duration, finished, working
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import find_opener
from argus_core.registry.places import check_asked, folder_of, read_roles
from argus_core.teach.choices import check_free
from argus_core.teach.lessons import SplitLessons
from argus_core.teach.plan import Plan, TeachOptions, make_plan
from argus_core.teach.teach import Taught, teach


def teach_model(request: TeachRequest, settings: Mapping[str, Any]) -> None:
    """Solve the head, write the model with it, and suggest images, as far as each is asked for."""
    plan = None if request.data is None else _plan(request, settings)
    candidates = None if request.suggest is None else _candidates(request, plan)
    if plan is None:
        check_asked(request.model, None if request.name is None else [request.name], request.task, None)
    argus = open_model(request.model, request.device, license=request.require_license)
    name, lessons = (head_to_ask(argus, request), None) if plan is None else _teach(argus, plan, request)
    if candidates is not None:
        suggest_images(argus, request, name, candidates, lessons)


def _candidates(request: TeachRequest, plan: Plan | None) -> Candidates:
    """The images that may be suggested; raises ArgusError where there are none, or nowhere to write."""
    assert request.suggest is not None
    found = find_candidates(request.suggest)
    candidates = found if plan is None else found.without(plan.data)
    folder_for(request, candidates)
    return candidates


def _plan(request: TeachRequest, settings: Mapping[str, Any]) -> Plan:
    """What is taught; raises ArgusError for what can be known to be wrong before the model is loaded."""
    assert request.data is not None
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
    plan = make_plan(request.data, request.split, options)
    check_free(read_roles(folder_of(request.model)) or {}, plan.name, plan.task.name, request.replace)
    if request.out is not None and request.out.resolve() == Path(find_opener(plan.spec)[2]).resolve():
        raise ArgusError(f"{request.out} holds the annotated images; choose another --out")
    return plan


def _teach(argus: Argus, plan: Plan, request: TeachRequest) -> tuple[str, SplitLessons]:
    """Teach, print what was learnt, and write the model; returns the name of the head and what it learned from."""
    with ProgressBar("teach") as bar:
        warn, suggests = (lambda text: bar.print(f"warning: {text}")), request.suggest is not None
        taught, lessons = teach(argus, plan, warn, _progress(bar), embedded=suggests)
    require(argus, request.require_license)
    _print(taught)
    if request.out is not None:
        _save(argus, request, taught)
    return taught.name, lessons


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
