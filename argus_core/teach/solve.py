"""A head that is solved from annotated images whose tokens are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, NamedTuple

import torch

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.saving.build import build_head
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo, Features, PlacedTokens, Tokens

BATCH = 16
"""Images whose targets are in memory at once."""


class Lesson(NamedTuple):
    """What an image teaches: its tokens, a batch of one, and its truth in pixels of the image.

    ``truth`` is None where nothing is annotated.
    """

    placed: PlacedTokens
    truth: Any

    def target(self, task: Task) -> Any:
        """The truth on the canvas of the tokens; raises ArgusError for None if the task needs an annotation."""
        if self.truth is not None:
            return task.target(self.truth, self.placed.placements[0])
        nothing = task.nothing(self.placed.tokens.size)
        if nothing is None:
            raise ArgusError(f"task {task.name!r} learns only from annotated images; leave out the others")
        return nothing


def solve_head(
    name: str,
    info: FeatureInfo,
    task: Task,
    lessons: Iterable[Lesson],
    options: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> Head:
    """The head registered as ``name``, solved from ``lessons``, which are iterated several times in the same order.

    ``info`` is that of the backbone that made the tokens. Raises ArgusError for a head that is trained by gradients.
    """
    head = unsolved_head(name, info, task, options).to(device)
    with torch.no_grad():
        head.fit(LessonBatches(lessons, head, torch.device(device)))
    return head


def unsolved_head(name: str, info: FeatureInfo, task: Task, options: Mapping[str, Any] | None = None) -> Head:
    """The head registered as ``name``, in eval mode; raises ArgusError for one that is trained by gradients."""
    head = build_head(name, info, task, options).eval()
    check_solved(name, head)
    return head


def check_solved(name: str, head: Head) -> None:
    """Raise ArgusError for a head that is trained by gradients, or learns nothing."""
    if head.trained or not head.fitted:
        raise ArgusError(
            f"head {name!r} is trained, not solved: make a cache and use `arena train`, or leave out --head"
            if head.trained
            else f"head {name!r} has nothing to learn; leave out --head"
        )


@dataclass(frozen=True)
class LessonBatches:
    """Features and targets of some lessons for a head that is fitted, in batches of one canvas size."""

    lessons: Iterable[Lesson]
    head: Head
    device: torch.device

    def __iter__(self) -> Iterator[tuple[Features, list[Any]]]:
        for _, alike in groupby(self.lessons, key=lambda lesson: lesson.placed.tokens.size):
            while part := list(islice(alike, BATCH)):
                tokens = join_tokens([lesson.placed.tokens for lesson in part]).to(self.device)
                targets = [lesson.target(self.head.task).to(self.device) for lesson in part]
                yield tokens.features(self.head.needs), targets


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """The tokens of several batches on canvases of one size as one batch, with the layers that all of them have."""
    first = parts[0]
    maps = set.intersection(*({*part.maps} for part in parts))
    prefix = set.intersection(*({*part.prefix} for part in parts))
    return replace(
        first,
        maps={layer: torch.cat([part.maps[layer] for part in parts]) for layer in sorted(maps)},
        prefix={layer: torch.cat([part.prefix[layer] for part in parts]) for layer in sorted(prefix)},
        extent=torch.cat([part.extent for part in parts]),
    )
