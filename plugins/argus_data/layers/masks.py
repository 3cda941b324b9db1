"""Segmentation masks on disk: images whose pixels are class indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.errors import ArgusError, Fault
from argus_data.files.images import AnnotationFile
from argus_data.layers.file_layer import FileLayer, read_pixels

if TYPE_CHECKING:
    from argus_core.tasks.segment import Segment

Mask = npt.NDArray[np.integer[Any]]
INDEXED = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes with one whole number per pixel; in a palette image that is the index, not the colour."""
LOSSY = (".jpg", ".jpeg", ".jfif")


class MaskLayer(FileLayer):
    """A mask per image. Pixels with the index ``ignore`` are unlabelled.

    ``remap`` gives the class of every index in the files: as a sequence it leaves ``ignore`` alone, as a mapping it is
    applied first, so that ``{0: 0, 255: 1}`` labels 255 whatever ``ignore`` is. It may lead to ``ignore``.
    """

    noun = "mask"

    def __init__(
        self,
        paths: Sequence[AnnotationFile],
        classes: Sequence[str],
        ignore: int = 255,
        remap: Sequence[int] | Mapping[int, int] | None = None,
    ) -> None:
        super().__init__(paths)
        self.classes, self.ignore = tuple(classes), ignore
        self._mapped_indices = frozenset(remap) if isinstance(remap, Mapping) else frozenset[int]()
        remap = _table(remap, ignore) if isinstance(remap, Mapping) else remap
        self.remap = None if remap is None else tuple(remap)
        wrong = sorted({i for i in self.remap or () if i != ignore and not 0 <= i < len(self.classes)})
        if wrong:
            raise ArgusError(f"remap leads to {wrong}, the {len(self.classes)} classes are 0..{len(self.classes) - 1}")

    @property
    def task(self) -> Segment:
        """Segmentation into the classes of the masks."""
        from argus_core.tasks.segment import Segment

        return Segment(classes=self.classes, ignore=self.ignore)

    def digest(self) -> str:
        """sha256 (hex) over classes, ``ignore``, ``remap`` and the files' bytes."""
        return json_sha256([self.classes, self.ignore, self.remap, self.file_digests()])

    def faults(self) -> list[Fault]:
        """Missing masks, and masks in a format that changes indices."""
        lossy = [path for path in self.paths if path.suffix.lower() in LOSSY]
        what = f"{len(lossy)} of {len(self.paths)} masks are JPEG, which changes indices; save them as PNG"
        return [*super().faults(), *([Fault(str(lossy[0]), what)] if lossy else [])]

    def decode(self, path: AnnotationFile) -> Mask:
        """The classes (h, w) in a file."""
        indices = read_mask(path)
        if self.remap is None:
            return indices
        known = (indices >= 0) & (indices < len(self.remap))
        if self._mapped_indices:
            known &= np.isin(indices, list(self._mapped_indices))
        strange = np.unique(indices[~known & (indices != self.ignore)])
        if len(strange):
            mapped = self._mapped_indices
            has = f"names {sorted(mapped)[:8]}" if mapped else f"has {len(self.remap)}"
            raise ArgusError(f"{path}: labels {strange[:8].tolist()} are beyond remap, which {has}")
        # ``ignore`` is compared before remapping: a class may have its number, and the table may have an entry for it.
        labelled = known if self._mapped_indices else known & (indices != self.ignore)
        classes = np.array([*self.remap, self.ignore])[np.where(labelled, indices, len(self.remap))]
        return classes.astype(np.min_scalar_type(int(classes.max()))) if classes.min() >= 0 else classes


def _table(remap: Mapping[int, int], ignore: int) -> tuple[int, ...]:
    """A mapping as a sequence; indices that it does not name become ``ignore``."""
    if not remap or min(remap) < 0:
        raise ArgusError(f"remap names {min(remap, default='nothing')}; it maps indices from 0 on to classes")
    return tuple(remap.get(index, ignore) for index in range(max(remap) + 1))


def read_mask(path: AnnotationFile) -> Mask:
    """The indices (h, w) in an image file; raises ArgusError if it is missing, broken or in colour."""
    values, mode = read_pixels(path, "mask")
    if mode not in INDEXED:
        grey = mode == "RGB" and (values == values[..., :1]).all()
        remedy = 'save it with one channel, as Image.convert("L") does' if grey else "convert colours to indices first"
        raise ArgusError(f"{path}: a mask has one class index per pixel, this image is {mode}; {remedy}")
    return values.astype(np.uint8) if values.dtype == np.bool_ else values
