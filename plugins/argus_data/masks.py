"""Segmentation masks on disk: images whose pixels are class indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.errors import ArgusError, Fault
from argus_core.image import read_numbers
from argus_data.images import Layer, digest_of
from argus_data.remember import Remembered

if TYPE_CHECKING:
    from argus_core.tasks.segment import Segment

Mask = npt.NDArray[np.integer[Any]]

INDEXED = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow with one whole number per pixel; of a palette the index counts, not the colour."""


LOSSY = (".jpg", ".jpeg", ".jfif")


class MaskLayer(Layer):
    """A mask per image; ``remap[i]`` is the class of pixels that say ``i``, which is ``i`` itself without it.

    Pixels of the index ``ignore`` are not labelled, before and after ``remap``, which may also lead there; a mapping
    goes first: ``{0: 0, 255: 1}`` labels 255 whatever is ignored.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        classes: Sequence[str],
        ignore: int = 255,
        remap: Sequence[int] | Mapping[int, int] | None = None,
    ) -> None:
        self.paths, self.classes, self.ignore = tuple(paths), tuple(classes), ignore
        self._named = frozenset(remap) if isinstance(remap, Mapping) else frozenset[int]()
        remap = _table(remap, ignore) if isinstance(remap, Mapping) else remap
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
        """Masks that are not there, and those that were compressed with loss."""
        gone = [
            Fault(str(path), "no such mask", kind="masks that are not there")
            for path in self.paths
            if not path.is_file()
        ]
        lossy = [path for path in self.paths if path.suffix.lower() in LOSSY]
        what = f"{len(lossy)} of {len(self.paths)} masks are JPEG, which changes indices; save them as PNG"
        return [*gone, *([Fault(str(lossy[0]), what)] if lossy else [])]

    def _read(self, sample: int) -> Mask:
        values = read_mask(self.paths[sample])
        return values if self.remap is None else self._renumber(values, self.paths[sample])

    def _renumber(self, values: Mask, path: Path) -> Mask:
        assert self.remap is not None
        known = (values >= 0) & (values < len(self.remap))
        if self._named:
            known &= np.isin(values, list(self._named))
        strange = np.unique(values[~known & (values != self.ignore)])
        if len(strange):
            has = f"names {sorted(self._named)[:8]}" if self._named else f"has {len(self.remap)}"
            raise ArgusError(f"{path}: labels {strange[:8].tolist()} are beyond remap, which {has}")
        table = np.array([*self.remap, self.ignore])
        # After the file's own numbers: a remapped index may equal ``ignore``, an ignored one may lie in the table.
        kept = known if self._named else known & (values != self.ignore)
        mapped = table[np.where(kept, values, len(self.remap))]
        return mapped.astype(np.min_scalar_type(int(mapped.max()))) if mapped.min() >= 0 else mapped


def _table(remap: Mapping[int, int], ignore: int) -> tuple[int, ...]:
    """A mapping as a list; what it does not name is ignored, and told as a fault where a mask holds it."""
    if not remap or min(remap) < 0:
        raise ArgusError(f"remap names {min(remap, default='nothing')}; it maps indices from 0 on to classes")
    return tuple(remap.get(index, ignore) for index in range(max(remap) + 1))


def read_mask(path: Path) -> Mask:
    """The indices (h, w) in an image file; raises ArgusError for a missing or broken file and for one with colours."""
    if not path.is_file():
        raise ArgusError(f"{path}: no such mask")
    try:
        values, mode = read_numbers(path)
    except Exception as error:  # decoders raise anything on a broken file
        raise ArgusError(f"{path}: cannot be read as a mask ({error})") from error
    if mode not in INDEXED:
        grey = mode == "RGB" and (values == values[..., :1]).all()
        mend = 'save it with one channel, as Image.convert("L") does' if grey else "convert colours to indices first"
        raise ArgusError(f"{path}: a mask has one class index per pixel, this image is {mode}; {mend}")
    return values.astype(np.uint8) if values.dtype == np.bool_ else values
