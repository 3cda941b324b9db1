"""Doubtful annotations of all tasks as one kind of value, and how each task's are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from argus_arena.audit.boxes import BoxFault, find_box_faults
from argus_arena.audit.depths import find_depth_faults
from argus_arena.audit.labels import Ints, Judged, judge
from argus_arena.audit.lessons import Annotated
from argus_arena.audit.masks import Corners, find_mask_faults
from argus_arena.audit.opened import Opened
from argus_arena.audit.regions import read_regions
from argus_arena.audit.vectors import Vectors
from argus_core.errors import ArgusError, counted, several

Progress = Callable[[str, int, int], None]
"""Called with what is at work, how much of it is done, and the total."""
FEWEST = 4
"""Annotated images, at least, of which one can be judged by the others."""
KINDS = {
    "label": "give the image the suggested class, if it shows that",
    "class of a box": "give the box the suggested class, if it holds that",
    "missing box": "add the box",
    "needless box": "remove the box, unless it holds an object",
    "misplaced box": "draw the box anew",
    "region of a mask": "paint the region as the suggested class, if it is that",
    "scale of a depth map": "check the unit of the file",
    "shape of a depth map": "check that the map is of this image",
}
"""What may be wrong, and what to do about it."""


@dataclass(frozen=True)
class Finding:
    """A doubtful annotation of image ``number``, of one of ``KINDS``, with ``given`` and ``suggested`` in words.

    A larger ``score`` is more doubtful, within a kind. ``certain`` ones are as sure as annotations can be without
    looking. ``box`` is annotated, ``proposed`` comes from the tokens (x1, y1, x2, y2, image pixels), ``cells`` are
    those of a region.
    """

    kind: str
    number: int
    score: float
    given: str = ""
    suggested: str = ""
    certain: bool = False
    box: Corners | None = None
    proposed: Corners | None = None
    cells: Sequence[Corners] = ()


@dataclass
class TaskFindings:
    """What was found in the annotations of a task; ``judged`` counts annotations, by kind of them.

    ``agreement`` is the share of labels that heads solved without them repeat. ``notes`` say what could not be done.
    """

    task: str
    findings: list[Finding] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)
    agreement: float | None = None
    notes: list[str] = field(default_factory=list)


def find_doubtful(opened: Opened, vectors: Vectors, groups: Ints, task: str, progress: Progress) -> TaskFindings:
    """The doubtful annotations of one task, the most doubtful of each kind first.

    Images of one of the ``groups`` of copies never judge each other.
    """
    found = TaskFindings(task)
    annotated = Annotated.of(opened, task) if task in FINDERS else None
    if annotated is None:
        found.notes.append(f"annotations of {task} are not judged")
        return found
    if annotated.left_out:
        count = counted(len(annotated.left_out), "annotation")
        found.notes.append(f"{count} cannot be used: {several(annotated.left_out)}")
    if len(annotated.numbers) < FEWEST:
        found.notes.append(f"{counted(len(annotated.numbers), 'annotated image')}: too few to judge each other")
        return found
    FINDERS[task](annotated, vectors, groups, found, progress)
    return found


def _classify(annotated: Annotated, vectors: Vectors, groups: Ints, found: TaskFindings, progress: Progress) -> None:
    numbers = list(annotated.numbers)
    classes = annotated.classes
    labels = torch.tensor([int(annotated.truth(number)) for number in numbers])
    if not _several_classes(labels, found):
        return
    inputs = F.normalize(vectors.raw[numbers], dim=1)
    judged = judge(inputs, labels, len(classes), groups[numbers])
    _account(judged, labels, "images", found)
    for row in judged.doubtful:
        names = classes[int(labels[row])], classes[int(judged.suggested[row])]
        found.findings.append(
            Finding("label", numbers[row], float(judged.score[row]), *names, certain=bool(judged.certain[row]))
        )


def _several_classes(labels: torch.Tensor, found: TaskFindings) -> bool:
    """Whether there is anything to mistake a class for."""
    if len(labels.unique()) < 2:
        found.notes.append("only one class occurs, so that no label can be told to be another's")
    return len(labels.unique()) >= 2


def _account(judged: Judged, labels: torch.Tensor, what: str, found: TaskFindings) -> None:
    known = judged.known
    found.judged[what] = int(known.sum())
    found.agreement = float((judged.suggested == labels)[known].float().mean()) if known.any() else None
    if alone := int((~known).sum()):
        found.notes.append(f"{counted(alone, 'label')} could not be judged: nothing else shows the class")


def _detect(annotated: Annotated, vectors: Vectors, groups: Ints, found: TaskFindings, progress: Progress) -> None:
    if not annotated.opened.maps:
        found.notes.append("boxes are not judged: the cache holds no maps; cache without --no-maps")
        return
    _box_classes(annotated, groups, found)
    total = len(annotated.numbers)
    try:
        faults = find_box_faults(annotated, groups, lambda done: progress("boxes", done, total))
    except ArgusError as error:
        found.notes.append(f"missing, needless and misplaced boxes are not looked for: {error}")
        return
    wrong = {(one.number, one.box) for one in found.findings}
    found.findings += [one for one in map(lambda fault: _as_finding(annotated, fault), faults) if _is_new(one, wrong)]


def _box_classes(annotated: Annotated, groups: Ints, found: TaskFindings) -> None:
    regions, classes = read_regions(annotated), annotated.classes
    if not len(regions.labels) or not _several_classes(regions.labels, found):
        return
    judged = judge(regions.vectors, regions.labels, len(classes), groups[regions.images])
    _account(judged, regions.labels, "boxes", found)
    for row in judged.doubtful:
        number = int(regions.images[row])
        names = classes[int(regions.labels[row])], classes[int(judged.suggested[row])]
        box = _corners(annotated.truth(number).boxes[int(regions.rows[row])])
        score, certain = float(judged.score[row]), bool(judged.certain[row])
        found.findings.append(Finding("class of a box", number, score, *names, certain=certain, box=box))


def _as_finding(annotated: Annotated, fault: BoxFault) -> Finding:
    classes = annotated.classes
    truth = annotated.truth(fault.number)
    box = _corners(truth.boxes[fault.row]) if fault.row >= 0 else None
    given = classes[int(truth.labels[fault.row])] if fault.row >= 0 else ""
    suggested = "" if fault.box is None else classes[fault.label]
    return Finding(f"{fault.fault} box", fault.number, fault.score, given, suggested, box=box, proposed=fault.box)


def _is_new(one: Finding, wrong: set[tuple[int, Corners | None]]) -> bool:
    """Whether a box is not said to be of another class already, which explains that nothing supports it."""
    return one.box is None or (one.number, one.box) not in wrong


def _corners(box: npt.NDArray[np.float64]) -> Corners:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _segment(annotated: Annotated, vectors: Vectors, groups: Ints, found: TaskFindings, progress: Progress) -> None:
    classes, total = annotated.classes, len(annotated.numbers)
    try:
        faults = find_mask_faults(annotated, groups, lambda done: progress("masks", done, total))
    except ArgusError as error:
        found.notes.append(f"masks are not judged: {error}")
        return
    found.judged["masks"] = total
    found.findings += [
        Finding(
            "region of a mask",
            one.number,
            one.score,
            classes[one.given],
            classes[one.suggested],
            box=one.box,
            cells=one.cells,
        )
        for one in faults
    ]


def _depth(annotated: Annotated, vectors: Vectors, groups: Ints, found: TaskFindings, progress: Progress) -> None:
    total = len(annotated.numbers)
    try:
        faults = find_depth_faults(annotated, groups, lambda done: progress("depth maps", done, total))
    except ArgusError as error:
        found.notes.append(f"depth maps are not judged: {error}")
        return
    found.judged["depth maps"] = total
    for one in faults:
        kind = "scale of a depth map" if one.kind == "another scale" else "shape of a depth map"
        given = f"{one.factor:.3g} times as far as expected, correlation {one.agreement:.2f}"
        found.findings.append(Finding(kind, one.number, one.score, given))


FINDERS = {"classify": _classify, "detect": _detect, "segment": _segment, "depth": _depth}
