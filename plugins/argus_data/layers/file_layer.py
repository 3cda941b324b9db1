"""Layers with one annotation file per image, such as masks and depth maps."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from argus_core.errors import ArgusError, Fault
from argus_core.image import read_numbers
from argus_data.files.images import AnnotationFile, Layer, digest_of

MEMORY = 1 << 29
"""Bytes of decoded arrays that a layer keeps."""


class FileLayer(Layer):
    """One file per image; recently used arrays stay in memory, because every epoch asks for them again.

    ``noun`` is what messages call such a file.
    """

    noun: str

    def __init__(self, paths: Sequence[AnnotationFile], memory: int = MEMORY) -> None:
        self.paths = tuple(paths)
        self._memory, self._bytes = memory, 0
        self._arrays: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()

    @abstractmethod
    def decode(self, path: AnnotationFile) -> npt.NDArray[Any]:
        """The annotation (h, w) in a file; raises ArgusError, naming the file, if there is none."""

    def truth(self, sample: int) -> npt.NDArray[Any]:
        """The annotation (h, w) of one image, read-only, as the next caller gets the same array."""
        if sample in self._arrays:
            self._arrays.move_to_end(sample)
            return self._arrays[sample]
        array = self.decode(self.paths[sample])
        array.flags.writeable = False
        self._arrays[sample] = array
        self._bytes += array.nbytes
        while self._bytes > self._memory and len(self._arrays) > 1:
            self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def file_digests(self) -> list[str]:
        """sha256 (hex) of every file, empty for a missing one."""
        return [digest_of(path) if path.is_file() else "" for path in self.paths]

    def faults(self) -> list[Fault]:
        """Missing files."""
        kind = f"{self.noun}s that are not there"
        return [Fault(str(path), f"no such {self.noun}", kind=kind) for path in self.paths if not path.is_file()]


def read_pixels(path: AnnotationFile, noun: str) -> tuple[npt.NDArray[Any], str]:
    """The numbers in an image file and Pillow's name of its mode; raises ArgusError for a missing or broken file."""
    if not path.is_file():
        raise ArgusError(f"{path}: no such {noun}")
    try:
        return read_numbers(path)
    except Exception as error:  # decoders raise anything on a broken file
        raise ArgusError(f"{path}: cannot be read as a {noun} ({error})") from error
