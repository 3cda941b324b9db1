"""Depth maps in files, one beside every image, as metres."""

from __future__ import annotations

from collections.abc import Sequence
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
    from argus_core.tasks.depth import Depth

WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of more than eight bits."""


class DepthLayer(Layer):
    """The depth maps ``paths``, one for each image of a split.

    Whole numbers, as of a 16-bit PNG, are multiplied by ``scale``: 0.001 for millimetres. Floats, of a ``.npy`` or
    TIFF file, are multiplied by ``floats``: they are metres by default. What is 0, negative or not finite is unknown.
    ``low`` and ``high`` bound the task, in metres.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        scale: float = 0.001,
        *,
        low: float = 0.001,
        high: float = 10.0,
        floats: float = 1.0,
    ) -> None:
        for metres in (scale, floats):
            if not 0 < metres < float("inf"):
                raise ArgusError(f"a depth scale of {metres} is no number of metres; 0.001 means millimetres")
        self.paths = tuple(paths)
        self.scale, self.low, self.high, self.floats = scale, low, high, floats
        self._read = Remembered(self._depth)

    @property
    def task(self) -> Depth:
        """Depth in the layer's range."""
        from argus_core.tasks.depth import Depth

        return Depth(low=self.low, high=self.high)

    def truth(self, sample: int) -> npt.NDArray[Any]:
        """(h, w) float32 metres, 0 where unknown; raises ArgusError, naming the file, for what is no depth map."""
        return self._read(sample)

    def digest(self) -> str:
        """sha256 (hex) over all files, the scale and the range."""
        files = [digest_of(path) if path.is_file() else "" for path in self.paths]
        return json_sha256([self.scale, self.low, self.high, files, *([self.floats] if self.floats != 1 else [])])

    def faults(self) -> list[Fault]:
        """Depth maps that are not there."""
        kind = "depth maps that are not there"
        return [Fault(str(path), "no such depth map", kind=kind) for path in self.paths if not path.is_file()]

    def _depth(self, sample: int) -> npt.NDArray[np.float32]:
        return read_depth(self.paths[sample], self.scale, self.floats)


def read_depth(path: Path, scale: float, floats: float = 1.0) -> npt.NDArray[np.float32]:
    """A file's (h, w) float32 metres, 0 where unknown: whole numbers times ``scale``, others times ``floats``."""
    values = _values(path)
    if values.ndim != 2:
        raise ArgusError(f"{path}: its shape is {values.shape}; a depth map is (height, width)")
    if values.dtype.kind not in "iuf":
        raise ArgusError(f"{path}: it holds {values.dtype}; a depth map holds metres as floats, or whole numbers")
    metres = values.astype(np.float32)
    metres *= np.float32(floats if values.dtype.kind == "f" else scale)
    metres[~(np.isfinite(metres) & (metres > 0))] = 0
    return metres


def _values(path: Path) -> npt.NDArray[Any]:
    """The array in a file, as it is."""
    if not path.is_file():
        raise ArgusError(f"{path}: no such depth map")
    try:
        return np.load(path, allow_pickle=False) if path.suffix.lower() == ".npy" else _pixels(path)
    except ArgusError:
        raise
    except Exception as error:  # decoders raise anything on a broken file
        raise ArgusError(f"{path}: cannot be read as a depth map ({error})") from error


def _pixels(path: Path) -> npt.NDArray[Any]:
    values, mode = read_numbers(path)
    if mode not in WIDE:
        raise ArgusError(
            f"{path}: it is an 8-bit {mode} image, not depth; give 16-bit images, or metres as .npy or TIFF"
        )
    return values
