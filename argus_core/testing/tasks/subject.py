"""The task under test: annotations, placements of an image, and perfect predictions, right and of another image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from argus_core.canvas import Canvas, Placement
from argus_core.common.options import check_options
from argus_core.errors import ArgusError
from argus_core.registry import TASKS
from argus_core.tasks import Metric, Task
from argus_core.testing.kit.plain import same

SIZE = (48, 64)
"""Of the images (height, width) that annotations are made for."""
PLACES: Mapping[str, Placement] = {
    "without scaling": Canvas(48, 64).place(*SIZE),
    "mirrored": Canvas(48, 64).place(*SIZE).mirror(),
    "on a letterbox": Canvas(112, 80).place(*SIZE),
    "stretched": Canvas(64, 128, "stretch").place(*SIZE),
    "cropped": Canvas(64, 64, "crop").place(*SIZE),
    "cropped and mirrored": Canvas(64, 64, "crop").place(*SIZE).mirror(),
    "on an odd canvas": Canvas(37, 61).place(*SIZE),
}
SAMPLES = 6
"""Images that metrics are tried on."""


@dataclass(frozen=True)
class TaskSubject:
    """A task with annotations for it; without ``example_truth`` and ``perfect`` there are none, and less to check."""

    task: Task
    cls: type[Task]

    @classmethod
    def of(cls, task: str | type[Task] | Task, options: Mapping[str, Any] | None = None) -> TaskSubject:
        """The subject for a registered name, a class (both by ``small()``) or an instance; ``options`` are fields."""
        found: Any = TASKS.load(task) if isinstance(task, str) else task
        made = found.small() if isinstance(found, type) and issubclass(found, Task) else found
        if not isinstance(made, Task):
            raise ArgusError(f"{found!r} is no task: give a subclass of argus_core.Task or an instance of one")
        own = found if isinstance(found, type) else type(made)
        if not options:
            return cls(made, own)
        fields = {**made.model_dump(), **options}
        return cls(own(**check_options(own, fields, f"task {made.name!r}")), own)

    def truth(self, seed: int = 0, size: tuple[int, int] = SIZE) -> Any:
        """An annotation; None if the task offers none."""
        return self.task.example_truth(size, torch.Generator().manual_seed(seed))

    @property
    def offers(self) -> bool:
        """Whether the task gives annotations and perfect predictions of them."""
        return self.truth() is not None and self.task.perfect(self.truth(), PLACES["without scaling"]) is not None

    @cached_property
    def truths(self) -> list[Any]:
        """Annotations of as many images, each other than the next one's, and the last other than the first."""
        distinct: list[Any] = []
        for seed in range(50):
            truth = self.truth(seed)
            if len(distinct) < SAMPLES and not any(same(truth, other) for other in distinct):
                distinct.append(truth)
        assert len(distinct) > 1, "example_truth gives the same annotation for every state of its generator"
        kept = next(count for count in (SAMPLES, SAMPLES // 2, 2) if count <= len(distinct))
        return distinct[:kept] * (SAMPLES // kept)

    def on_canvas(self, truth: Any, place: Placement) -> list[Any]:
        """The perfect canvas prediction of every image of a sample."""
        said = self.task.perfect(truth, place)
        return list(said) if type(said) is tuple else [said]

    def in_image(self, truth: Any, place: Placement = PLACES["without scaling"]) -> Any:
        """The perfect prediction in image pixels, as a metric takes it."""
        said = self.task.perfect(truth, place)
        moved = [self.task.to_image(one, place) for one in self.on_canvas(truth, place)]
        return tuple(moved) if type(said) is tuple else moved[0]

    def samples(self, right: int = SAMPLES) -> list[tuple[str, Any, Any]]:
        """Key, prediction and truth of every image; the first ``right`` ones perfect, others another image's."""
        truths = self.truths
        said = [self.in_image(truths[i] if i < right else truths[i - 1]) for i in range(len(truths))]
        return [(f"image {i}", one, truth) for i, (one, truth) in enumerate(zip(said, truths, strict=True))]


def scored(metric: Metric, samples: list[tuple[str, Any, Any]]) -> dict[str, float]:
    """What a metric says after these samples."""
    for key, prediction, truth in samples:
        metric.update(key, prediction, truth)
    return metric.compute()
