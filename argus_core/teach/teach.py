"""A handful of annotated images becomes a head of an Argus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from argus_core.data.check import ACCEPT, leave_out, refuse_faults
from argus_core.data.hold_out import Part
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.model import Composition
from argus_core.saving.record import shown_metrics
from argus_core.teach.choices import canvas_for, check_free
from argus_core.teach.crossval import cross_validate
from argus_core.teach.lessons import Progress, SplitLessons
from argus_core.teach.plan import Plan
from argus_core.teach.record import head_record, score_row
from argus_core.teach.solve import Lesson, solve_head, unsolved_head


@dataclass(frozen=True)
class Taught:
    """What was learnt: the head ``name`` of the model, of kind ``head``, from ``images``, in ``seconds``.

    ``shown`` is how many images show each class; empty for a task without classes. ``scores`` is a row of
    cross-validated scores, None without any. ``notes`` say what to know of it.
    """

    name: str
    head: str
    task: str
    images: int
    shown: Mapping[str, int]
    scores: Mapping[str, Any] | None
    notes: Sequence[str]
    seconds: float = field(compare=False)

    def __str__(self) -> str:
        classes = f", {counted(len(self.shown), 'class')}" if self.shown else ""
        lines = [f"{self.name}: {self.head}, solved from {counted(self.images, 'image')}{classes}"]
        width = max(map(len, self.shown), default=0)
        lines += [f"    {name:<{width}}  {counted(count, 'image')}" for name, count in self.shown.items()]
        if self.scores is not None:
            values = ", ".join(f"{key} {value:.3g}" for key, value in shown_metrics(self.scores).items())
            lines.append(f"score: {values} ({self.scores['protocol']})")
        return "\n".join(lines)


def teach(
    argus: Composition,
    plan: Plan,
    warn: Callable[[str], None],
    progress: Progress = lambda done, total: None,
    embedded: bool = False,
) -> tuple[Taught, SplitLessons]:
    """Solve a head from all images of the plan's split, and add it to ``argus``: see ``Argus.teach``.

    ``warn`` is told of faults of the data. The lessons hold the tokens that were learned from and, if ``embedded``,
    what embeddings of the images are made of. Where an error is raised the model is as it was.
    """
    start, backbone = time.perf_counter(), argus.backbone
    check_free(argus.roles(), plan.name, plan.task.name, plan.options.replace)
    lessons, accepted = _lessons(argus, plan, warn, progress, embedded)

    def solve(chosen: Iterable[Lesson]) -> Head:
        return solve_head(plan.head, backbone.info, plan.task, chosen, plan.settings, backbone.device)

    head = solve(lessons)
    row, notes = _score(solve, lessons, plan.spec, plan.options.folds)
    notes, seconds = [*accepted, *head.notes(), *notes], time.perf_counter() - start
    shown = lessons.images_of_classes()
    taught = Taught(plan.name, head.name, plan.task.name, len(lessons), shown, row, notes, seconds)
    head.canvas, head.backbone_sha256 = lessons.canvas, backbone.weights_sha256
    head.record = _record(taught, head_record(plan.spec, lessons.split, lessons.canvas, backbone, shown, seconds))
    if plan.name in argus.heads:
        argus.remove(plan.name)
    argus.add(plan.name, head)
    return taught, lessons


def _lessons(
    argus: Composition, plan: Plan, warn: Callable[[str], None], progress: Progress, embedded: bool
) -> tuple[SplitLessons, list[str]]:
    """The lessons of the images that can be used, and notes on faults that were accepted."""
    canvas, backbone = canvas_for(argus, plan.task, plan.options.canvas), argus.backbone
    accept = plan.options.accept_faults
    needs = unsolved_head(plan.head, backbone.info, plan.task, plan.settings).needs.resolve(backbone.info)
    more = {*needs.layers, *(argus.needs.layers if argus.heads else ())} if embedded else ()
    make = partial(SplitLessons, backbone, task=plan.task, canvas=canvas, needs=needs, progress=progress, more=[*more])
    accepted, lessons = refuse_faults(plan.split, [plan.task.name], {}, warn, accept=accept), make(split=plan.split)
    if faults := lessons.faults():
        accepted.append(leave_out(plan.split, faults, warn, accept=accept))
        usable = [number for number in range(len(lessons)) if number not in faults]
        lessons = make(split=Part(plan.split.name, plan.split, usable))
    return lessons, [f"accepted with {ACCEPT}: {fault}" for fault in accepted]


def _record(taught: Taught, record: Mapping[str, Any]) -> dict[str, Any]:
    """A head's record with what is known of how good it is."""
    scores = {} if taught.scores is None else {"scores": [taught.scores]}
    return {**record, "notes": list(taught.notes), **scores}


def _score(
    solve: Callable[[Iterable[Lesson]], Head], lessons: SplitLessons, spec: str, folds: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """A row of cross-validated scores, if there can be any, and what to say of it."""
    if folds < 2:
        return None, []
    if not lessons.whole:
        images = counted(len(lessons), "image")
        return None, [f"no score: the tokens of {images} do not stay in memory; cache them, and use `arena train`"]
    alone = [shown for shown, count in lessons.images_of_classes().items() if count == 1]
    try:
        metric, count = cross_validate(solve, lessons.task, lessons, folds)
    except ArgusError as error:
        return None, [f"no score, as some parts of the images cannot teach alone: {error}"]
    if not count:
        return None, ["no score: no image can be held out, as nothing else shows what it shows; add images"]
    notes = [f"one image alone shows {', '.join(alone)}: add images of it, as nothing tells how well it is known"]
    return score_row(metric, spec, lessons.split, folds, count), notes if alone else []
