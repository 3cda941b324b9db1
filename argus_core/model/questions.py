"""Questions about images, each with the type of its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.image import ImageSource, read_image
from argus_core.model.clock import Clock
from argus_core.model.composition import Pass, as_list
from argus_core.model.embedder import Embedder, Source
from argus_core.model.embeddings import embed_results
from argus_core.model.perception import NOUNS, Perception
from argus_core.registry.places import Role, find_head, find_heads
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.correspond import Described, MatchResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

Several: TypeAlias = list[Source] | tuple[Source, ...]
"""Several images. Not any sequence, because texts and arrays are sequences too."""
FloatMap: TypeAlias = "npt.NDArray[np.float32]"


class Question(NamedTuple):
    """What is asked about an image: heads by name, options for results by task, and whether embeddings are wanted."""

    names: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    embeddings: bool = False


class Questions(Embedder):
    """Heads over one frozen backbone, with a method for the question of each task.

    Every method takes one image (path, PIL image, array, tensor, bytes) and returns one result, or a list of images of
    any sizes and returns a list. Results are in pixels of the original images. ``batch`` images share a backbone pass.
    If several heads solve a task, ``head`` (or ``method``, ``decoder``) selects one, by default the first.
    ``embeddings`` adds a vector for every object and for the image, from the same pass, see ``Embedder``.
    """

    @overload
    def classify(
        self, images: ImageSource, top_k: int = ..., method: str | None = ..., head: str | None = ...
    ) -> ClassResult: ...
    @overload
    def classify(
        self, images: Several[Source], top_k: int = ..., method: str | None = ..., head: str | None = ...
    ) -> list[ClassResult]: ...
    def classify(
        self, images: ImageSource | Several[Source], top_k: int = 5, method: str | None = None, head: str | None = None
    ) -> ClassResult | list[ClassResult]:
        """The ``top_k`` best classes with scores and margin; ``method``: ``knn``, ``softmax``, or a head's name."""
        return self._ask("classify", images, head or method, top_k=top_k)

    @overload
    def segment(
        self, images: ImageSource, return_confidence: Literal[False] = ..., head: str | None = ...
    ) -> SegmentResult: ...
    @overload
    def segment(
        self, images: Several[Source], return_confidence: Literal[False] = ..., head: str | None = ...
    ) -> list[SegmentResult]: ...
    @overload
    def segment(
        self, images: ImageSource, return_confidence: Literal[True], head: str | None = ...
    ) -> tuple[SegmentResult, FloatMap]: ...
    @overload
    def segment(
        self, images: Several[Source], return_confidence: Literal[True], head: str | None = ...
    ) -> tuple[list[SegmentResult], list[FloatMap]]: ...
    def segment(
        self, images: ImageSource | Several[Source], return_confidence: bool = False, head: str | None = None
    ) -> SegmentResult | list[SegmentResult] | tuple[SegmentResult | list[SegmentResult], FloatMap | list[FloatMap]]:
        """The class of every pixel; with ``return_confidence`` pairs of it and the probability (h, w)."""
        results = self._ask("segment", images, head)
        return _paired(results, "confidence") if return_confidence else results

    @overload
    def depth(
        self,
        images: ImageSource,
        decoder: str | None = ...,
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
    ) -> DepthResult: ...
    @overload
    def depth(
        self,
        images: Several[Source],
        decoder: str | None = ...,
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
    ) -> list[DepthResult]: ...
    @overload
    def depth(
        self,
        images: ImageSource,
        decoder: str | None = ...,
        *,
        return_confidence: Literal[True],
        head: str | None = ...,
    ) -> tuple[DepthResult, FloatMap]: ...
    @overload
    def depth(
        self,
        images: Several[Source],
        decoder: str | None = ...,
        *,
        return_confidence: Literal[True],
        head: str | None = ...,
    ) -> tuple[list[DepthResult], list[FloatMap]]: ...
    def depth(
        self,
        images: ImageSource | Several[Source],
        decoder: str | None = None,
        return_confidence: bool = False,
        head: str | None = None,
    ) -> DepthResult | list[DepthResult] | tuple[DepthResult | list[DepthResult], FloatMap | list[FloatMap]]:
        """Metres for every pixel; with ``return_confidence`` pairs of it and the standard deviation (h, w)."""
        results = self._ask("depth", images, head or decoder)
        return _paired(results, "deviation") if return_confidence else results

    @overload
    def detect(
        self, images: ImageSource, score_thresh: float = ..., head: str | None = ..., embeddings: bool = ...
    ) -> DetectionResult: ...
    @overload
    def detect(
        self, images: Several[Source], score_thresh: float = ..., head: str | None = ..., embeddings: bool = ...
    ) -> list[DetectionResult]: ...
    def detect(
        self,
        images: ImageSource | Several[Source],
        score_thresh: float = 0.3,
        head: str | None = None,
        embeddings: bool = False,
    ) -> DetectionResult | list[DetectionResult]:
        """Objects that score at least ``score_thresh``; with ``embeddings`` a vector (C,) of each."""
        return self._ask("detect", images, head, embeddings, score_thresh=score_thresh)

    def correspond(
        self, first: ImageSource, second: ImageSource, points: npt.ArrayLike, head: str | None = None
    ) -> MatchResult:
        """Where ``points`` (N, 2) of x, y pixels of the first image lie in the second one."""
        wanted = np.asarray(points, dtype=np.float64)
        if wanted.ndim != 2 or wanted.shape[1] != 2 or not np.isfinite(wanted).all():
            raise ArgusError(f"points are finite x, y pairs of shape (N, 2), not {wanted.dtype} {wanted.shape}")
        name = self.find("correspond", head)
        pictures = [read_image(first), read_image(second)]
        described = [prediction[name] for prediction in self.predict(pictures, [name], self.batch)]
        assert isinstance(described[0], Described)
        return MatchResult(pictures[0], pictures[1], wanted, described[0].match(described[1], wanted))

    @overload
    def perceive(
        self,
        images: ImageSource,
        tasks: Sequence[str] | None = ...,
        return_confidence: bool = ...,
        embeddings: bool = ...,
    ) -> Perception: ...
    @overload
    def perceive(
        self,
        images: Several[Source],
        tasks: Sequence[str] | None = ...,
        return_confidence: bool = ...,
        embeddings: bool = ...,
    ) -> list[Perception]: ...
    def perceive(
        self,
        images: ImageSource | Several[Source],
        tasks: Sequence[str] | None = None,
        return_confidence: bool = False,
        embeddings: bool = False,
    ) -> Perception | list[Perception]:
        """Everything at once: a ``Perception`` per image, with results and ``timings_ms``; one pass per canvas.

        ``tasks`` are names of tasks or of heads; by default every head but those that compare images.
        ``return_confidence`` adds ``segmentation_confidence`` and ``depth_uncertainty``. ``embeddings`` adds
        ``embedding`` (C,) of the image, and those of its objects.
        """
        names, timings = self.names(tasks), dict[str, float]()
        results = self.answer(as_list(images), names, timings=timings, embeddings=embeddings)
        nouns = self._nouns(names)
        perceptions = [Perception(by_head, nouns, timings, return_confidence) for by_head in results]
        return perceptions if isinstance(images, list | tuple) else perceptions[0]

    def answer(
        self,
        images: Sequence[ImageSource],
        names: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        timings: dict[str, float] | None = None,
        embeddings: bool = False,
    ) -> list[dict[str, Result]]:
        """The results of some heads for each image; ``options`` by task are passed to ``Task.result``.

        The milliseconds of the backbone, of each head and of embeddings are added to ``timings``.
        """
        question = Question(tuple(names), options or {}, embeddings)
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
        passes = [*map(self._passes_of, questions)]
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

    def _passes_of(self, question: Question) -> list[Pass]:
        passes = self.passes(question.names)
        return self._with_embeddings(passes) if question.embeddings else passes

    def find(self, task: str, which: str | None = None) -> str:
        """The name of the head that solves a task: ``which``, or the first."""
        return find_head(self._roles(), task, which, self._left_out())

    def _roles(self) -> dict[str, Role]:
        return {name: Role(self.head(name).task.name, self.head(name).name) for name in self.heads}

    def _left_out(self) -> str:
        return "".join(f"; {name} is left out: {reason}" for name, reason in self.missing.items())

    def _ask(self, task: str, images: Any, which: str | None, embeddings: bool = False, **options: Any) -> Any:
        """The results of one head: one for one image, a list for a list."""
        name = self.find(task, which)
        answers = self.answer(as_list(images), [name], {task: options}, embeddings=embeddings)
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
        return find_heads(self._roles(), tasks, self._left_out())

    def _nouns(self, names: Sequence[str]) -> dict[str, str]:
        """The first head of each task, by the task's noun."""
        nouns: dict[str, str] = {}
        for name in names:
            task = self.head(name).task.name
            nouns.setdefault(NOUNS.get(task, task), name)
        return nouns


def _paired(results: Any, field: str) -> Any:
    """A result with a map of it, or two lists of them."""
    if isinstance(results, list):
        return results, [getattr(result, field) for result in results]
    return results, getattr(results, field)
