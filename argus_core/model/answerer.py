"""Answers of heads about images, by the names of heads, and which heads a name or a task stands for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from argus_core.canvas.large import TileOptions, Tiling, tiling_of
from argus_core.errors import ArgusError
from argus_core.image import ImageSource, read_image
from argus_core.image.array import RGB
from argus_core.model.clock import Clock
from argus_core.model.embedder import Embedder
from argus_core.model.embeddings import embed_results
from argus_core.model.images import as_list
from argus_core.model.passes import Pass
from argus_core.model.perception import NOUNS
from argus_core.model.shrunk import Shrunk
from argus_core.registry.places import find_head, find_heads
from argus_core.tasks import Result

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Question(NamedTuple):
    """What is asked about an image: heads by name, options for results by task, embeddings or not, and tiles if any."""

    names: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    embeddings: bool = False
    tiling: Tiling | None = None


class Answerer(Embedder):
    """Heads over one frozen backbone that answer questions about images, several of which share backbone passes."""

    _told = False
    """Whether it was said that small objects vanish; once is enough."""

    def answer(
        self,
        images: Sequence[ImageSource],
        names: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        timings: dict[str, float] | None = None,
        embeddings: bool = False,
        **tiles: Unpack[TileOptions],
    ) -> list[dict[str, Result]]:
        """The results of some heads for each image; ``options`` by task are passed to ``Task.result``.

        The milliseconds of the backbone, of each head and of embeddings are added to ``timings``.
        """
        question = Question(tuple(names), options or {}, embeddings, tiling_of(tiles, self.tiling))
        return self.answer_each(images, [question] * len(images), timings)

    def answer_each(
        self,
        images: Sequence[ImageSource],
        questions: Sequence[Question],
        timings: dict[str, float] | None = None,
    ) -> list[dict[str, Result]]:
        """The results of a question of its own about each image; images on the same canvas share backbone passes."""
        pictures = [read_image(image) for image in images]
        results: list[dict[str, Result]] = [{} for _ in pictures]
        clock = Clock(self.backbone.device, {} if timings is None else timings)
        passes = [*map(self._passes_of, questions, pictures)]
        for seen in self._run(pictures, passes, self.batch, clock.lap):
            for number, by_head in seen.predictions.items():
                for name, prediction in by_head.items():
                    task = self.head(name).task
                    options = questions[number].options.get(task.name, {})
                    results[number][name] = task.result(prediction, pictures[number], **options)
            clock.skip()
            if seen.group.embedding is not None:
                embed_results(seen, seen.group.embedding, results)
                clock.lap("embeddings")
        return [
            {name: by_head[name] for name in question.names}
            for question, by_head in zip(questions, results, strict=True)
        ]

    def _passes_of(self, question: Question, picture: RGB) -> list[Pass]:
        passes = self.passes(question.names, question.tiling, (picture.shape[0], picture.shape[1]))
        return self._with_embeddings(passes) if question.embeddings else passes

    def _tell_shrunk(self, answers: Sequence[Mapping[str, Result]], tiles: TileOptions, level: int) -> None:
        """Warn the caller ``level`` frames above, once, if images were shrunk so far that small objects are lost."""
        if self._told or "tiles" in tiles or self.tiling is not None:
            return
        shrunk = Shrunk("give tiles='auto' to see them")
        for results in answers:
            height, width = next(iter(results.values())).image.shape[:2]
            shrunk.add((height, width), self.shrinking(list(results)))
        for note in shrunk.notes():
            self._told = True
            warnings.warn(note, stacklevel=level)

    def find(self, task: str, which: str | None = None) -> str:
        """The name of the head that solves a task: ``which``, or the first."""
        return find_head(self.roles(), task, which, self._left_out())

    def _left_out(self) -> str:
        return "".join(f"; {name} is left out: {reason}" for name, reason in self.missing.items())

    def _ask(
        self,
        task: str,
        images: Any,
        which: str | None,
        embeddings: bool = False,
        tiles: TileOptions | None = None,
        **options: Any,
    ) -> Any:
        """The results of one head: one for one image, a list for a list."""
        name = self.find(task, which)
        answers = self.answer(as_list(images), [name], {task: options}, embeddings=embeddings, **(tiles or {}))
        self._tell_shrunk(answers, tiles or {}, 4)
        results = [by_head[name] for by_head in answers]
        return results if isinstance(images, list | tuple) else results[0]

    def names(self, tasks: Sequence[str] | None) -> list[str]:
        """The heads with these names or of these tasks; by default all but those that compare images."""
        if isinstance(tasks, str):
            raise ArgusError(f"tasks is a list of names, such as tasks=[{tasks!r}]")
        if tasks is None:
            names = [name for name in self._chosen(None) if self.head(name).task.name != "correspond"]
            if not names:
                raise ArgusError(f"the heads here only compare images: ask them to correspond{self._left_out()}")
            return names
        return find_heads(self.roles(), tasks, self._left_out())

    def _nouns(self, names: Sequence[str]) -> dict[str, str]:
        """The first head of each task, by the task's noun."""
        nouns: dict[str, str] = {}
        for name in names:
            task = self.head(name).task.name
            nouns.setdefault(NOUNS.get(task, task), name)
        return nouns
