"""Masks that paint every class in a colour of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.errors import ArgusError
from argus_data.files.images import AnnotationFile
from argus_data.layers.file_layer import read_pixels
from argus_data.layers.masks import Mask, MaskLayer

Color = tuple[int, int, int]


class ColorMaskLayer(MaskLayer):
    """A mask per image, painted in ``colors`` of classes or of ``ignore``; masks of numbers are read as others are."""

    def __init__(
        self,
        paths: Sequence[AnnotationFile],
        classes: Sequence[str],
        colors: Mapping[Color, int],
        ignore: int = 255,
    ) -> None:
        super().__init__(paths, classes, ignore)
        self._colors = {_packed(np.array(color, dtype=np.int64)).item(): label for color, label in colors.items()}

    def digest(self) -> str:
        """sha256 (hex) over that of the masks as they are, and the colours."""
        return json_sha256([super().digest(), sorted(self._colors.items())])

    def decode(self, path: AnnotationFile) -> Mask:
        """The classes (h, w) in a file."""
        values, mode = read_pixels(path, "mask")
        if mode not in ("RGB", "RGBA"):
            return super().decode(path)
        packed = _packed(values[..., :3].astype(np.int64))
        colors, index = np.unique(packed, return_inverse=True)
        if strange := [color for color in colors.tolist() if color not in self._colors]:
            count = int(np.isin(packed, strange).sum())
            shown = ", ".join(str((color >> 16, color >> 8 & 255, color & 255)) for color in strange[:4])
            raise ArgusError(
                f"{path}: {count} pixels have colours of no class, such as {shown}; name them in labelmap.txt, "
                "and save masks as PNG, without smoothing"
            )
        labels = np.array([self._colors[color] for color in colors.tolist()], dtype=np.uint16)
        classes = labels[index.reshape(packed.shape)]
        return classes.astype(np.uint8) if labels.max(initial=0) < 256 else classes


def _packed(rgb: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Colours (..., 3) as one number each."""
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
