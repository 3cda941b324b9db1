"""Pairs of images with points that correspond: what every adapter for matching is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argus_core.common.files import json_sha256
from argus_core.errors import Fault
from argus_data.files.images import ImageFile, ImageSplit, Layer

if TYPE_CHECKING:
    from argus_core.tasks.correspond import Correspond, Matches

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Size = tuple[int, int]


@dataclass(frozen=True)
class PairPoints:
    """Points x, y of the source image and the same points of the target, with the fields of ``Matches``."""

    source: Sequence[Point]
    target: Sequence[Point]
    box: Box | None = None
    category: str = ""
    sizes: tuple[Size, Size] | None = None


class PairLayer(Layer):
    """Pairs by the indices of their images (source, target); ``read`` returns the points of a pair by its number."""

    def __init__(self, pairs: Sequence[tuple[int, int]], read: Callable[[int], PairPoints]) -> None:
        self._pairs = tuple(pairs)
        self._read = read

    @property
    def task(self) -> Correspond:
        """Correspondence."""
        from argus_core.tasks.correspond import Correspond

        return Correspond()

    def truth(self, sample: int) -> Matches:
        """The points of one pair."""
        from argus_core.tasks.correspond import Matches

        pair = self._read(sample)
        source, target = (np.array(points, dtype=np.float64).reshape(-1, 2) for points in (pair.source, pair.target))
        return Matches(source, target, pair.box, pair.category, pair.sizes)

    def samples(self) -> Sequence[tuple[int, ...]]:
        """Source and target of each pair."""
        return self._pairs

    def digest(self) -> str:
        """sha256 (hex) over pairs, points, boxes, categories and sizes; reads all of them."""
        return json_sha256([self._pairs, [asdict(self._read(number)) for number in range(len(self._pairs))]])

    def faults(self) -> list[Fault]:
        """Pairs of an image with itself."""
        total, same = len(self._pairs), sum(source == target for source, target in self._pairs)
        what = f"{same} of {total} pairs are of an image with itself"
        return [Fault("pairs", what, count=same, total=total)] if same else []


class PairSplit(ImageSplit):
    """The images of some pairs, in the order in which the pairs name them.

    ``pairs`` are the keys of source and target, ``path`` maps a key to its file, ``sizes`` (height, width) come from
    the annotations.
    """

    def __init__(
        self,
        name: str,
        pairs: Sequence[tuple[str, str]],
        path: Callable[[str], Path],
        read: Callable[[int], PairPoints],
        sizes: Mapping[str, Size] | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        keys = list(dict.fromkeys(key for pair in pairs for key in pair))
        index = {key: number for number, key in enumerate(keys)}
        layer = PairLayer([(index[source], index[target]) for source, target in pairs], read)
        super().__init__(name, [ImageFile(key, path(key)) for key in keys], [layer], faults=faults)
        self._sizes = sizes or {}

    def size(self, index: int) -> Size | None:
        """Height and width in pixels that the annotations assume; None if they do not say."""
        return self._sizes.get(self.key(index))
