"""Depth maps in files, one beside every image, as metres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.errors import ArgusError
from argus_data.files.images import AnnotationFile
from argus_data.layers.file_layer import FileLayer, read_pixels

if TYPE_CHECKING:
    from argus_core.tasks.depth import Depth

WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes with more than eight bits."""


class DepthLayer(FileLayer):
    """The depth maps ``paths``, one for each image of a split.

    Whole numbers, as in a 16-bit PNG, are multiplied by ``scale``: 0.001 for millimetres. Floats, from ``.npy`` or
    TIFF files, are multiplied by ``floats``: by default they are metres. Values that are 0, negative or not finite
    are unknown. ``low`` and ``high`` bound the task, in metres.
    """

    noun = "depth map"

    def __init__(
        self,
        paths: Sequence[AnnotationFile],
        scale: float = 0.001,
        *,
        low: float = 0.001,
        high: float = 10.0,
        floats: float = 1.0,
    ) -> None:
        for metres in (scale, floats):
            if not 0 < metres < float("inf"):
                raise ArgusError(f"a depth scale of {metres} is no number of metres; 0.001 means millimetres")
        super().__init__(paths)
        self.scale, self.low, self.high, self.floats = scale, low, high, floats

    @property
    def task(self) -> Depth:
        """Depth in the layer's range."""
        from argus_core.tasks.depth import Depth

        return Depth(low=self.low, high=self.high)

    def digest(self) -> str:
        """sha256 (hex) over the files' bytes, the scales and the range."""
        floats = [self.floats] if self.floats != 1 else []
        return json_sha256([self.scale, self.low, self.high, self.file_digests(), *floats])

    def decode(self, path: AnnotationFile) -> npt.NDArray[np.float32]:
        """The metres (h, w) in a file, 0 where unknown."""
        return read_depth(path, self.scale, self.floats)


def read_depth(path: AnnotationFile, scale: float, floats: float = 1.0) -> npt.NDArray[np.float32]:
    """A file's (h, w) float32 metres, 0 where unknown: whole numbers times ``scale``, others times ``floats``."""
    values = _read_array(path)
    if values.ndim != 2:
        raise ArgusError(f"{path}: its shape is {values.shape}; a depth map is (height, width)")
    if values.dtype.kind not in "iuf":
        raise ArgusError(f"{path}: it holds {values.dtype}; a depth map holds metres as floats, or whole numbers")
    metres = values.astype(np.float32)
    metres *= np.float32(floats if values.dtype.kind == "f" else scale)
    metres[~(np.isfinite(metres) & (metres > 0))] = 0
    return metres


def _read_array(path: AnnotationFile) -> npt.NDArray[Any]:
    """The numbers in a ``.npy`` file or an image, as they are."""
    if path.suffix.lower() == ".npy" and path.is_file():
        try:
            with path.open("rb") as stream:
                return np.load(stream, allow_pickle=False)
        except Exception as error:  # numpy raises anything on a broken file
            raise ArgusError(f"{path}: cannot be read as a depth map ({error})") from error
    values, mode = read_pixels(path, DepthLayer.noun)
    if mode not in WIDE:
        raise ArgusError(
            f"{path}: it is an 8-bit {mode} image, not depth; give 16-bit images, or metres as .npy or TIFF"
        )
    return values
