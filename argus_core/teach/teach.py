"""A handful of annotated images becomes a head of an Argus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_core.canvas import Canvas
from argus_core.data import Split
from argus_core.data.check import refuse_faults
from argus_core.data.hold_out import TRAIN
from argus_core.errors import ArgusError, counted
from argus_core.head import Head
from argus_core.model import Composition
from argus_core.plugins.data_spec import explicit_spec, open_data, split_of
from argus_core.saving.record import shown_metrics
from argus_core.teach.choices import canvas_for, check_free, default_name, find_task, head_options, minute_head
from argus_core.teach.crossval import FOLDS, cross_validate
from argus_core.teach.lessons import Progress, SplitLessons
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


@dataclass(frozen=True)
class TeachOptions:
    """How a head is taught: see ``Argus.teach``."""

    task: str | None = None
    head: str | None = None
    name: str | None = None
    canvas: Canvas | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folds: int = FOLDS
    replace: bool = False
    accept_faults: bool = False


def find_split(data: str | Path | Split, name: str | None) -> tuple[str, Split]:
    """The data spec, and the images to learn from: the split of that name, by default the only one, or ``train``.

    Of a split its name stands for the spec.
    """
    if isinstance(data, Split):
        return data.name, data
    spec = explicit_spec(str(data))[0]
    splits = open_data(spec)
    return spec, split_of(splits, name or (next(iter(splits)) if len(splits) == 1 else TRAIN))


def teach(
    argus: Composition,
    spec: str,
    split: Split,
    options: TeachOptions,
    warn: Callable[[str], None],
    progress: Progress = lambda done, total: None,
) -> Taught:
    """Solve a head from all images of the split that ``spec`` names, and add it to ``argus``: see ``Argus.teach``.

    ``warn`` is told of faults of the data. Where an error is raised the model is as it was.
    """
    start = time.perf_counter()
    task = find_task(split, options.task)
    kind, canvas = options.head or minute_head(task), canvas_for(argus, task, options.canvas)
    name = options.name or default_name(spec, task)
    check_free(argus, name, task, options.replace)
    settings = head_options(kind, spec, options.options)
    needs = unsolved_head(kind, argus.backbone.info, task, settings).needs
    refuse_faults(split, [task.name], {}, warn, accept=options.accept_faults)
    lessons = SplitLessons(argus.backbone, split, task, canvas, needs, progress=progress)

    def solve(chosen: Iterable[Lesson]) -> Head:
        return solve_head(kind, argus.backbone.info, task, chosen, settings, argus.backbone.device)

    head = solve(lessons)
    row, notes = _score(solve, lessons, spec, options.folds)
    notes, seconds = [*head.notes(), *notes], time.perf_counter() - start
    taught = Taught(name, head.name, task.name, len(split), lessons.images_of_classes(), row, notes, seconds)
    head.canvas, head.backbone_sha256 = canvas, argus.backbone.weights_sha256
    head.record = _record(taught, head_record(spec, split, canvas, argus.backbone, taught.shown, seconds))
    if name in argus.heads:
        argus.remove(name)
    argus.add(name, head)
    return taught


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
