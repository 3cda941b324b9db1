"""What a model says of many images that nobody has annotated: doubts, and vectors that tell which are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from argus_core.errors import ArgusError
from argus_core.image import read_image
from argus_core.image.array import RGB
from argus_core.model.composition import run_head
from argus_core.model.embedder import Embedder
from argus_core.model.embeddings import PassEmbeddings
from argus_core.teach.doubt import doubt
from argus_core.teach.lessons import SplitLessons
from argus_core.teach.suggest import MOST, suggest
from argus_core.tokens import Needs

T = TypeVar("T")


@dataclass(frozen=True)
class Pool:
    """Images that could be read with the doubt of a head and a vector (C,) of each; ``faults`` are of the others."""

    images: list[Path] = field(default_factory=list)
    doubts: list[float] = field(default_factory=list)
    vectors: list[npt.NDArray[np.float32]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Suggestion:
    """An image to annotate, and the doubt about it, 0 or more."""

    image: Path
    doubt: float


def look_through(
    argus: Embedder, name: str, images: Sequence[Path], progress: Callable[[int], None] = lambda done: None
) -> Pool:
    """What the head ``name`` says of images, and their vectors, from one pass of the backbone over each.

    Raises ArgusError if none of them can be read.
    """
    pool = Pool()
    for part in _parts(_read(images, pool), argus.batch):
        _add(argus, name, part, pool)
        progress(len(pool.images) + len(pool.faults))
    if not pool.images:
        raise ArgusError(f"none of {len(images)} images can be read: {'; '.join(pool.faults[:2]) or 'there are none'}")
    return pool


def suggest_from(pool: Pool, count: int, known: Sequence[npt.NDArray[np.float32]] = ()) -> list[Suggestion]:
    """The images to annotate next, the most instructive one first; ``known`` are vectors of those that are."""
    chosen = suggest(pool.doubts, np.stack(pool.vectors), count, np.stack(known) if len(known) else ())
    return [Suggestion(pool.images[number], pool.doubts[number]) for number in chosen]


def vectors_of(argus: Embedder, lessons: SplitLessons) -> list[npt.NDArray[np.float32]]:
    """Vectors of the images of lessons, comparable with those of a pool on their canvas.

    The backbone looks again at images whose tokens are not in memory. Of more than ``MOST`` images as many are taken.
    """
    numbers = np.linspace(0, len(lessons) - 1, min(len(lessons), MOST)).round().astype(int).tolist()
    layers = argus.embedding_layers
    return [PassEmbeddings(placed, layers).images[0] for placed in lessons.placed(numbers)]


def _read(images: Iterable[Path], pool: Pool) -> Iterator[tuple[Path, RGB]]:
    for path in images:
        try:
            yield path, read_image(path)
        except ArgusError as error:
            pool.faults.append(str(error))


@torch.no_grad()
def _add(argus: Embedder, name: str, part: Sequence[tuple[Path, RGB]], pool: Pool) -> None:
    head, layers = argus.head(name), argus.embedding_layers
    needs = head.needs.resolve(argus.backbone.info) | Needs((layers.images,), maps=False, cls=True)
    placed = argus.tokens([image for _, image in part], argus.canvas_of(name), needs, argus.batch)
    predictions = run_head(head, placed.tokens)
    pool.images.extend(path for path, _ in part)
    pool.doubts.extend(map(doubt, predictions, placed.placements))
    pool.vectors.extend(PassEmbeddings(placed, layers).images)


def _parts(values: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(values)
    while part := list(islice(source, size)):
        yield part
