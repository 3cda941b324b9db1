"""What the images of a split teach: tokens of a running backbone, kept within a bound, and truths."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from argus_core.backbones import Backbone
from argus_core.backbones.live import LiveSource
from argus_core.canvas import Canvas, Placement
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

    ``kept`` bytes of tokens stay in memory, so that a backbone looks at few images only once. They also hold CLS of
    ``more`` layers. ``progress`` is called with done and total of an iteration that runs the backbone. Raises
    ArgusError for a truth that cannot be used.
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
        more: Sequence[int] = (),
    ) -> None:
        self.split, self.task, self.canvas = split, task, canvas
        own, vectors = needs.resolve(backbone.info), Needs(tuple(more), maps=False, cls=True).resolve(backbone.info)
        self._maps = own.layers if own.maps else ()
        self._source = LiveSource(backbone, split, canvas, own | vectors if more else own)
        self._batch, self._progress, self._room = batch, progress, kept
        self._kept: list[PlacedTokens] = []
        self._shown: list[tuple[str, ...]] = []

    def __len__(self) -> int:
        return len(self.split)

    def __iter__(self) -> Iterator[Lesson]:
        for index, placed in enumerate(self.placed(range(len(self)))):
            yield Lesson(placed, self._truth(index, placed.placements[0]))

    def __getitem__(self, index: int) -> Lesson:
        """The lesson of an image whose tokens are in memory."""
        return Lesson(self._kept[index], self._truth(index, self._kept[index].placements[0]))

    def faults(self) -> dict[int, str]:
        """Why images teach nothing, by number: they, or their annotations, cannot be read or do not fit together."""
        found = {}
        for index in range(len(self)):
            try:
                self._truth(index, self._source.placement((index, "id")))
            except ArgusError as error:
                found[index] = str(error)
        return found

    @property
    def whole(self) -> bool:
        """Whether the tokens of all images are in memory, after the first iteration."""
        return len(self._kept) == len(self)

    def images_of_classes(self) -> dict[str, int]:
        """How many images show each class of the task, after the first iteration."""
        counts = Counter(name for names in self._shown for name in names)
        return {name: counts[name] for name in getattr(self.task, "classes", ())}

    def placed(self, numbers: Sequence[int]) -> Iterator[PlacedTokens]:
        """The tokens of some images, whose numbers ascend: those that are kept, then the others in batches."""
        kept = bisect_left(numbers, len(self._kept))
        yield from [self._kept[number] for number in numbers[:kept]]
        rest = numbers[kept:]
        for start in range(0, len(rest), self._batch):
            images = rest[start : start + self._batch]
            tokens, placements = self._source.read([(index, "id") for index in images]).to("cpu")
            tokens = replace(tokens, maps={layer: tokens.maps[layer] for layer in self._maps})
            self._progress(images[-1] + 1, len(self))
            each = [PlacedTokens(tokens[n : n + 1], placements[n : n + 1]) for n in range(len(images))]
            self._keep(images, each)
            yield from each

    def _keep(self, images: Sequence[int], each: Sequence[PlacedTokens]) -> None:
        """Keep the tokens of images that follow on those that are kept, while there is room."""
        parts = [part for one in each for part in (*one.tokens.maps.values(), *one.tokens.prefix.values())]
        size = sum(part.nbytes for part in parts)
        if size <= self._room and [*images] == [*range(len(self._kept), images[-1] + 1)]:
            self._room -= size
            self._kept += each

    def _truth(self, index: int, placement: Placement) -> object:
        """The truth of an image, whose classes are noted the first time; raises ArgusError, naming it, for a fault."""
        truth = read_truth(self.split, index, self.task.name)
        if fault := self.task.fault(truth, placement.image_size):
            raise ArgusError(f"{self.split.name}, {self.task.name} of {self.split.key(index)}: {fault}")
        if index == len(self._shown):
            unseen = {*self.task.unseen(self.task.summary([truth]))}
            self._shown.append(tuple(name for name in getattr(self.task, "classes", ()) if name not in unseen))
        return truth
