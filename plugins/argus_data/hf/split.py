"""Splits whose images lie in the rows of a table."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from argus_core.errors import Fault
from argus_core.image import composed, read_image
from argus_data.files.images import Layer, LayeredSplit, digest_of
from argus_data.hf.cells import ZIP, Cell

Size = tuple[int, int]


class RowSplit(LayeredSplit):
    """The images in some rows of a table, with one layer per task; ``stated`` are the sizes that the rows give."""

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        cells: Sequence[Cell],
        layers: Sequence[Layer],
        faults: Sequence[Fault] = (),
        *,
        stated: Sequence[Size | None] = (),
        left_out: str = "",
    ) -> None:
        super().__init__(name, keys, layers, faults)
        self._cells, self._stated, self._left_out = tuple(cells), tuple(stated), left_out

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB; raises ArgusError, naming the row, if it cannot be read."""
        with self._cells[index].open() as file:
            return read_image(file)

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image file's bytes, as they lie in the table or on disk."""
        return digest_of(self._cells[index])

    def stamp(self, index: int) -> str:
        """Size and modification time of the table's files or of the image file."""
        return self._cells[index].stamp()

    def size(self, index: int) -> Size | None:
        """Height and width that the row gives."""
        return self._stated[index] if self._stated else None

    def annotation_digest(self) -> str:
        """sha256 (hex) over keys and all layers; of boxes alone that of a COCO file that says the same."""
        boxes = self._layers.get("detect") if len(self._layers) == 1 else None
        return boxes.digest() if boxes else super().annotation_digest()

    def left_out(self) -> str:
        """What the table holds besides, in one line."""
        return self._left_out


def keys_of(paths: Sequence[str]) -> list[str]:
    """Names of images by the paths that their rows give, below the folder that all share; else the rows' numbers."""
    names = [_plain(path) for path in paths]
    if names and all(map(os.path.isabs, names)):
        common = os.path.commonpath({os.path.dirname(name) for name in names})
        names = [os.path.relpath(name, common).replace(os.sep, "/") for name in names]
    alike = {composed(name) for name in names}
    if len(alike) < len(names) or any(not name or os.path.isabs(name) for name in names):
        return [f"{row:06}" for row in range(len(names))]
    return [composed(name) for name in names]


def _plain(path: str) -> str:
    """A path with slashes, of a member of an archive that in the archive, of an address its last part."""
    if path.startswith(ZIP):
        return path[len(ZIP) :].partition("::")[0]
    return path.rpartition("/")[2] if "://" in path else path.replace("\\", "/")
