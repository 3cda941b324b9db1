"""Questions about images, each with the type of its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from argus_core.canvas.large import TileOptions
from argus_core.errors import ArgusError
from argus_core.image import ImageSource, read_image
from argus_core.model.answerer import Answerer
from argus_core.model.embedder import Source
from argus_core.model.images import as_list
from argus_core.model.perception import Perception
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.correspond import Described, MatchResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

if TYPE_CHECKING:
    from typing_extensions import Unpack

Several: TypeAlias = list[Source] | tuple[Source, ...]
"""Several images. Not any sequence, because texts and arrays are sequences too."""
FloatMap: TypeAlias = "npt.NDArray[np.float32]"


class Questions(Answerer):
    """Heads over one frozen backbone, with a method for the question of each task.

    Every method takes one image (path, PIL image, array, tensor, bytes) and returns one result, or a list of images of
    any sizes and returns a list. Results are in pixels of the original images. ``batch`` images share a backbone pass.
    If several heads solve a task, ``head`` (or ``method``, ``decoder``) selects one, by default the first.
    ``embeddings`` adds a vector for every object and for the image, from the same pass, see ``Embedder``. ``tiles``,
    ``overlap`` and ``merge`` are those of a ``Tiling`` for large images, by default that of ``tiling``.
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
        self,
        images: ImageSource,
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> SegmentResult: ...
    @overload
    def segment(
        self,
        images: Several[Source],
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> list[SegmentResult]: ...
    @overload
    def segment(
        self,
        images: ImageSource,
        return_confidence: Literal[True],
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> tuple[SegmentResult, FloatMap]: ...
    @overload
    def segment(
        self,
        images: Several[Source],
        return_confidence: Literal[True],
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> tuple[list[SegmentResult], list[FloatMap]]: ...
    def segment(
        self,
        images: ImageSource | Several[Source],
        return_confidence: bool = False,
        head: str | None = None,
        **tiles: Unpack[TileOptions],
    ) -> SegmentResult | list[SegmentResult] | tuple[SegmentResult | list[SegmentResult], FloatMap | list[FloatMap]]:
        """The class of every pixel; with ``return_confidence`` pairs of it and the probability (h, w)."""
        results = self._ask("segment", images, head, tiles=tiles)
        return _paired(results, "confidence") if return_confidence else results

    @overload
    def depth(
        self,
        images: ImageSource,
        decoder: str | None = ...,
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> DepthResult: ...
    @overload
    def depth(
        self,
        images: Several[Source],
        decoder: str | None = ...,
        return_confidence: Literal[False] = ...,
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> list[DepthResult]: ...
    @overload
    def depth(
        self,
        images: ImageSource,
        decoder: str | None = ...,
        *,
        return_confidence: Literal[True],
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> tuple[DepthResult, FloatMap]: ...
    @overload
    def depth(
        self,
        images: Several[Source],
        decoder: str | None = ...,
        *,
        return_confidence: Literal[True],
        head: str | None = ...,
        **tiles: Unpack[TileOptions],
    ) -> tuple[list[DepthResult], list[FloatMap]]: ...
    def depth(
        self,
        images: ImageSource | Several[Source],
        decoder: str | None = None,
        return_confidence: bool = False,
        head: str | None = None,
        **tiles: Unpack[TileOptions],
    ) -> DepthResult | list[DepthResult] | tuple[DepthResult | list[DepthResult], FloatMap | list[FloatMap]]:
        """Metres for every pixel; with ``return_confidence`` pairs of it and the standard deviation (h, w)."""
        results = self._ask("depth", images, head or decoder, tiles=tiles)
        return _paired(results, "deviation") if return_confidence else results

    @overload
    def detect(
        self,
        images: ImageSource,
        score_thresh: float = ...,
        head: str | None = ...,
        embeddings: bool = ...,
        **tiles: Unpack[TileOptions],
    ) -> DetectionResult: ...
    @overload
    def detect(
        self,
        images: Several[Source],
        score_thresh: float = ...,
        head: str | None = ...,
        embeddings: bool = ...,
        **tiles: Unpack[TileOptions],
    ) -> list[DetectionResult]: ...
    def detect(
        self,
        images: ImageSource | Several[Source],
        score_thresh: float = 0.3,
        head: str | None = None,
        embeddings: bool = False,
        **tiles: Unpack[TileOptions],
    ) -> DetectionResult | list[DetectionResult]:
        """Objects that score at least ``score_thresh``; with ``embeddings`` a vector (C,) of each."""
        return self._ask("detect", images, head, embeddings, tiles, score_thresh=score_thresh)

    def correspond(
        self,
        first: ImageSource,
        second: ImageSource,
        points: npt.ArrayLike,
        head: str | None = None,
        **tiles: Unpack[TileOptions],
    ) -> MatchResult:
        """Where ``points`` (N, 2) of x, y pixels of the first image lie in the second one."""
        wanted = np.asarray(points, dtype=np.float64)
        if wanted.ndim != 2 or wanted.shape[1] != 2 or not np.isfinite(wanted).all():
            raise ArgusError(f"points are finite x, y pairs of shape (N, 2), not {wanted.dtype} {wanted.shape}")
        name = self.find("correspond", head)
        pictures = [read_image(first), read_image(second)]
        described = [prediction[name] for prediction in self.predict(pictures, [name], self.batch, **tiles)]
        assert isinstance(described[0], Described)
        return MatchResult(pictures[0], pictures[1], wanted, described[0].match(described[1], wanted))

    @overload
    def perceive(
        self,
        images: ImageSource,
        tasks: Sequence[str] | None = ...,
        return_confidence: bool = ...,
        embeddings: bool = ...,
        **tiles: Unpack[TileOptions],
    ) -> Perception: ...
    @overload
    def perceive(
        self,
        images: Several[Source],
        tasks: Sequence[str] | None = ...,
        return_confidence: bool = ...,
        embeddings: bool = ...,
        **tiles: Unpack[TileOptions],
    ) -> list[Perception]: ...
    def perceive(
        self,
        images: ImageSource | Several[Source],
        tasks: Sequence[str] | None = None,
        return_confidence: bool = False,
        embeddings: bool = False,
        **tiles: Unpack[TileOptions],
    ) -> Perception | list[Perception]:
        """Everything at once: a ``Perception`` per image, with results and ``timings_ms``; one pass per canvas.

        ``tasks`` are names of tasks or of heads; by default every head but those that compare images.
        ``return_confidence`` adds ``segmentation_confidence`` and ``depth_uncertainty``. ``embeddings`` adds
        ``embedding`` (C,) of the image, and those of its objects.
        """
        names, timings = self.names(tasks), dict[str, float]()
        results = self.answer(as_list(images), names, timings=timings, embeddings=embeddings, **tiles)
        self._tell_shrunk(results, tiles, 3)
        nouns = self._nouns(names)
        perceptions = [Perception(by_head, nouns, timings, return_confidence) for by_head in results]
        return perceptions if isinstance(images, list | tuple) else perceptions[0]


def _paired(results: Any, field: str) -> Any:
    """A result with a map of it, or two lists of them."""
    if isinstance(results, list):
        return results, [getattr(result, field) for result in results]
    return results, getattr(results, field)
