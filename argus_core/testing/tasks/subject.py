"""The task under test: annotations, placements of an image, and perfect predictions, right and of another image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

import torch

from argus_core.canvas import Canvas, Placement
from argus_core.common.options import check_options
from argus_core.errors import ArgusError
from argus_core.registry import TASKS
from argus_core.tasks import Metric, Task
from argus_core.testing.kit.values import same

SIZE = (48, 64)
"""Height and width of the images that annotations are made for."""
PLACES: Mapping[str, Placement] = {
    "without scaling": Canvas(48, 64).place(*SIZE),
    "mirrored": Canvas(48, 64).place(*SIZE).mirror(),
    "on a letterbox": Canvas(112, 80).place(*SIZE),
    "stretched": Canvas(64, 128, "stretch").place(*SIZE),
    "cropped": Canvas(64, 64, "crop").place(*SIZE),
    "cropped and mirrored": Canvas(64, 64, "crop").place(*SIZE).mirror(),
    "on an odd canvas": Canvas(37, 61).place(*SIZE),
}
UNSCALED = PLACES["without scaling"]
SAMPLES = 6
"""Images that metrics are tried on."""
Sample = tuple[str, Any, Any]
"""Key, prediction and truth of an image."""


@dataclass(frozen=True)
class TaskSubject:
    """A task with annotations for it; without ``example_truth`` and ``perfect`` there are none, and less to check."""

    task: Task
    cls: type[Task]

    @classmethod
    def of(cls, target: str | type[Task] | Task, options: Mapping[str, Any] | None = None) -> TaskSubject:
        """The subject for a registered name, a class (both by ``small()``) or an instance; ``options`` are fields."""
        source: Any = TASKS.load(target) if isinstance(target, str) else target
        task = source.small() if isinstance(source, type) and issubclass(source, Task) else source
        if not isinstance(task, Task):
            raise ArgusError(f"{source!r} is no task: give a subclass of argus_core.Task or an instance of one")
        kind = source if isinstance(source, type) else type(task)
        if options:
            task = kind(**check_options(kind, {**task.model_dump(), **options}, f"task {task.name!r}"))
        return cls(task, kind)

    def truth(self, seed: int = 0, size: tuple[int, int] = SIZE) -> Any:
        """An annotation; None if the task offers none."""
        return self.task.example_truth(size, torch.Generator().manual_seed(seed))

    @property
    def has_examples(self) -> bool:
        """Whether the task gives annotations and perfect predictions of them."""
        return self.truth() is not None and self.task.perfect(self.truth(), UNSCALED) is not None

    @cached_property
    def truths(self) -> list[Any]:
        """Annotations of as many images, no two neighbours alike, nor the last and the first."""
        distinct: list[Any] = []
        for seed in range(50):
            truth = self.truth(seed)
            if len(distinct) < SAMPLES and not any(same(truth, other) for other in distinct):
                distinct.append(truth)
        assert len(distinct) > 1, "example_truth gives the same annotation for every state of its generator"
        count = next(count for count in (SAMPLES, SAMPLES // 2, 2) if count <= len(distinct))
        return distinct[:count] * (SAMPLES // count)

    def on_canvas(self, truth: Any, place: Placement) -> list[Any]:
        """The perfect canvas prediction of every image of a sample."""
        prediction = self.task.perfect(truth, place)
        return list(prediction) if type(prediction) is tuple else [prediction]

    def in_image(self, truth: Any, place: Placement = UNSCALED) -> Any:
        """The perfect prediction in image pixels, as a metric takes it."""
        predictions = [self.task.to_image(prediction, place) for prediction in self.on_canvas(truth, place)]
        return tuple(predictions) if type(self.task.perfect(truth, place)) is tuple else predictions[0]

    def samples(self, right: int = SAMPLES // 2, place: Placement = UNSCALED) -> list[Sample]:
        """A sample of every image; the predictions of the first ``right`` are perfect, others another image's."""
        truths = self.truths
        return [
            (f"image {index}", self.in_image(truth if index < right else truths[index - 1], place), truth)
            for index, truth in enumerate(truths)
        ]


def scored(metric: Metric, samples: list[Sample]) -> dict[str, float]:
    """The scores of a metric after these samples."""
    for key, prediction, truth in samples:
        metric.update(key, prediction, truth)
    return metric.compute()


def with_examples(check: Callable[[TaskSubject], None]) -> Callable[[TaskSubject], None]:
    """A check that holds for a task without annotations or perfect predictions: ``example_truth`` reports those."""

    @wraps(check)
    def checked(subject: TaskSubject) -> None:
        if subject.has_examples:
            check(subject)

    return checked
