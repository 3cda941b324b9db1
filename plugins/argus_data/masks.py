"""Segmentation masks on disk: images whose pixels are class indices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.data import Fault
from argus_core.errors import ArgusError
from argus_core.files import json_sha256
from argus_data.images import Layer, digest_of
from argus_data.remember import Remembered

if TYPE_CHECKING:
    from argus_core.tasks.segment import Segment

Mask = npt.NDArray[np.integer[Any]]

INDEXED = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow with one whole number per pixel; of a palette the index counts, not the colour."""


class MaskLayer(Layer):
    """A mask per image; ``remap[i]`` is the class of pixels that say ``i``, which is ``i`` itself without it.

    Pixels of the index ``ignore`` are not labelled, before and after ``remap``, which may also lead there.
    """

    def __init__(
        self, paths: Sequence[Path], classes: Sequence[str], ignore: int = 255, remap: Sequence[int] | None = None
    ) -> None:
        self.paths, self.classes, self.ignore = tuple(paths), tuple(classes), ignore
        self.remap = None if remap is None else tuple(remap)
        wrong = sorted({i for i in self.remap or () if i != ignore and not 0 <= i < len(self.classes)})
        if wrong:
            raise ArgusError(f"remap leads to {wrong}, the {len(self.classes)} classes are 0..{len(self.classes) - 1}")
        self._masks = Remembered(self._read)

    @property
    def task(self) -> Segment:
        """Segmentation into the layer's classes."""
        from argus_core.tasks.segment import Segment

        return Segment(classes=self.classes, ignore=self.ignore)

    def truth(self, sample: int) -> Mask:
        """The mask (h, w) of one image; raises ArgusError, naming the file, if it is none."""
        masks: Mask = self._masks(sample)  # type: ignore[assignment]
        return masks

    def digest(self) -> str:
        """sha256 (hex) over classes, rules and the files' bytes."""
        files = [digest_of(path) if path.is_file() else "" for path in self.paths]
        return json_sha256([self.classes, self.ignore, self.remap, files])

    def faults(self) -> list[Fault]:
        """Masks that are not there."""
        return [Fault(str(path), "no such mask") for path in self.paths if not path.is_file()]

    def _read(self, sample: int) -> Mask:
        values = read_mask(self.paths[sample])
        return values if self.remap is None else self._renumber(values, self.paths[sample])

    def _renumber(self, values: Mask, path: Path) -> Mask:
        assert self.remap is not None
        known = (values >= 0) & (values < len(self.remap))
        strange = np.unique(values[~known & (values != self.ignore)])
        if len(strange):
            raise ArgusError(f"{path}: labels {strange[:8].tolist()} are beyond remap, which has {len(self.remap)}")
        table = np.array([*self.remap, self.ignore])
        # After the file's own numbers: a remapped index may equal ``ignore``, an ignored one may lie in the table.
        mapped = table[np.where(known & (values != self.ignore), values, len(self.remap))]
        return mapped.astype(np.min_scalar_type(int(mapped.max()))) if mapped.min() >= 0 else mapped


def read_mask(path: Path) -> Mask:
    """The indices (h, w) in an image file; raises ArgusError for a missing or broken file and for one with colours."""
    if not path.is_file():
        raise ArgusError(f"{path}: no such mask")
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.array(image)
    except Exception as error:  # decoders raise anything on a broken file
        raise ArgusError(f"{path}: cannot be read as a mask ({error})") from error
    if mode not in INDEXED:
        raise ArgusError(
            f"{path}: a mask has one class index per pixel, this image is {mode}; convert colours to indices first"
        )
    return values.astype(np.uint8) if values.dtype == np.bool_ else values
