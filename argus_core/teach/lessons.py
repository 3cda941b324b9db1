"""What the images of a split teach: tokens of a running backbone, kept within a bound, and truths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from argus_core.backbones import Backbone
from argus_core.backbones.live import LiveSource
from argus_core.canvas import Canvas
from argus_core.data import Split
from argus_core.data.split import read_truth
from argus_core.errors import ArgusError
from argus_core.tasks import Task
from argus_core.teach.solve import Lesson
from argus_core.tokens import Needs, PlacedTokens

KEPT = 1 << 30
"""Bytes of tokens that are kept; those of further images are computed for every pass over the lessons."""
Progress = Callable[[int, int], None]


class SplitLessons:
    """The lessons of a split's images, in order, for any number of iterations.

    ``kept`` bytes of tokens stay in memory, so that a backbone looks at few images only once. ``progress`` is called
    with done and total of an iteration that runs the backbone. Raises ArgusError for a truth that cannot be used.
    """

    def __init__(
        self,
        backbone: Backbone,
        split: Split,
        task: Task,
        canvas: Canvas,
        needs: Needs,
        batch: int = 8,
        progress: Progress = lambda done, total: None,
        kept: int = KEPT,
    ) -> None:
        self.split, self.task = split, task
        self._source = LiveSource(backbone, split, canvas, needs)
        self._batch, self._progress, self._room = batch, progress, kept
        self._kept: list[PlacedTokens] = []
        self._shown: list[tuple[str, ...]] = []

    def __len__(self) -> int:
        return len(self.split)

    def __iter__(self) -> Iterator[Lesson]:
        for index, placed in enumerate(self._placed()):
            yield Lesson(placed, self._truth(index, placed))

    def __getitem__(self, index: int) -> Lesson:
        """The lesson of an image whose tokens are in memory."""
        return Lesson(self._kept[index], self._truth(index, self._kept[index]))

    @property
    def whole(self) -> bool:
        """Whether the tokens of all images are in memory, after the first iteration."""
        return len(self._kept) == len(self)

    def images_of_classes(self) -> dict[str, int]:
        """How many images show each class of the task, after the first iteration."""
        counts = Counter(name for names in self._shown for name in names)
        return {name: counts[name] for name in getattr(self.task, "classes", ())}

    def _placed(self) -> Iterator[PlacedTokens]:
        """The tokens of each image: those that are kept, then the others in batches."""
        yield from (known := list(self._kept))
        for start in range(len(known), len(self), self._batch):
            images = range(start, min(start + self._batch, len(self)))
            placed = self._source.read([(index, "id") for index in images]).to("cpu")
            self._progress(images.stop, len(self))
            each = [PlacedTokens(placed.tokens[n : n + 1], placed.placements[n : n + 1]) for n in range(len(images))]
            size = sum(part.nbytes for part in (*placed.tokens.maps.values(), *placed.tokens.prefix.values()))
            if size <= self._room and len(self._kept) == start:
                self._room -= size
                self._kept += each
            yield from each

    def _truth(self, index: int, placed: PlacedTokens) -> object:
        """The truth of an image, whose classes are noted the first time; raises ArgusError, naming it, for a fault."""
        truth = read_truth(self.split, index, self.task.name)
        if fault := self.task.fault(truth, placed.placements[0].image_size):
            raise ArgusError(f"{self.split.name}, {self.task.name} of {self.split.key(index)}: {fault}")
        if index == len(self._shown):
            unseen = {*self.task.unseen(self.task.summary([truth]))}
            self._shown.append(tuple(name for name in getattr(self.task, "classes", ()) if name not in unseen))
        return truth
