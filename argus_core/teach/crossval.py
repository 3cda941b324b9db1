"""The score of a way to solve heads on few images: each is asked of a head that was solved without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from argus_core.head import Head
from argus_core.model.composition import run_head
from argus_core.tasks import Metric, Task
from argus_core.tasks.classify import Classify
from argus_core.teach.solve import Lesson

FOLDS = 5
"""Parts of the images, each of which is held out once."""


class Lessons(Protocol):
    """Lessons by number, which need not all be in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Lesson: ...


def cross_validate(
    solve: Callable[[Iterable[Lesson]], Head], task: Task, lessons: Lessons, folds: int = FOLDS
) -> tuple[Metric, int]:
    """The metric over all lessons that can be held out, and how many these are.

    The only image of a class, and a single image, cannot be: without it there is nothing to ask for.
    """
    metric, parts = task.metric(), deal(_groups(task, lessons), folds)
    for part in sorted({part for part in parts if part is not None}):
        head = solve(_Others(lessons, [number for number, own in enumerate(parts) if own != part]))
        for number in (number for number, own in enumerate(parts) if own == part):
            lesson = lessons[number]
            metric.update(str(number), _answer(head, lesson), lesson.truth)
    return metric, sum(part is not None for part in parts)


@dataclass(frozen=True)
class _Others:
    """Some of the lessons, for any number of iterations."""

    lessons: Lessons
    numbers: Sequence[int]

    def __iter__(self) -> Iterator[Lesson]:
        return (self.lessons[number] for number in self.numbers)


def _groups(task: Task, lessons: Lessons) -> list[int]:
    """What must be among the others when an image is held out: of classes its own, of other tasks any image."""
    numbers = range(len(lessons))
    return [int(lessons[number].truth) if isinstance(task, Classify) else 0 for number in numbers]


def deal(members: Sequence[Hashable], folds: int) -> list[int | None]:
    """The part, below ``folds``, that each member of a group is held out with; None for the only one of its group.

    Neighbours in a group stay together, as they are often views of one scene.
    """
    counts, ranks = Counter(members), Counter[Hashable]()
    parts: list[int | None] = []
    for member in members:
        alone = counts[member] == 1 or folds < 2
        parts.append(None if alone else ranks[member] * folds // counts[member])
        ranks[member] += 1
    return parts


@torch.no_grad()
def _answer(head: Head, lesson: Lesson) -> object:
    """The prediction about the image of a lesson, in its pixels."""
    tokens, placements = lesson.placed.to(_device(head))
    return head.task.merge(run_head(head, tokens), placements)


def _device(head: Head) -> torch.device:
    return next((value.device for value in (*head.parameters(), *head.buffers())), torch.device("cpu"))
