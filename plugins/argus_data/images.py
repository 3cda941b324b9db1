"""A split of image files with layers of annotation, one per task: what every adapter for folders is made of."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.data import Fault, Split
from argus_core.errors import ArgusError, unknown
from argus_core.files import file_sha256, json_sha256
from argus_core.image import read_image

if TYPE_CHECKING:
    from argus_core.tasks.base import Task

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")


@dataclass(frozen=True)
class ImageFile:
    """An image on disk under a key that is the same on every machine."""

    key: str
    path: Path


class Layer(ABC):
    """The annotations of a split's images for one task; truths are read when asked for."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task with the data set's numbers."""

    @abstractmethod
    def truth(self, sample: int) -> Any:
        """The annotation of one sample; raises ArgusError, naming the file, for one that is missing or wrong."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 (hex) over everything the truths depend on."""

    def samples(self) -> Sequence[tuple[int, ...]] | None:
        """The images of each sample, where a sample is not simply an image."""
        return None

    def faults(self) -> list[Fault]:
        """What was found wrong while the layer was opened."""
        return []


class ImageSplit(Split):
    """Image files in a fixed order, and a layer per task."""

    def __init__(self, name: str, files: Sequence[ImageFile], layers: Sequence[Layer]) -> None:
        self.name = name
        self.files = tuple(files)
        self._layers = {layer.task.name: layer for layer in layers}

    def __len__(self) -> int:
        return len(self.files)

    def key(self, index: int) -> str:
        """As the adapter named the file."""
        return self.files[index].key

    def path(self, index: int) -> Path:
        """Where the image lies."""
        return self.files[index].path

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB; raises ArgusError with its path if it cannot be read."""
        return read_image(self.path(index))

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image file."""
        return digest_of(self.path(index))

    def stamp(self, index: int) -> str:
        """Size and modification time of the image file."""
        try:
            found = os.stat(self.path(index))
        except OSError as error:
            raise ArgusError(f"{self.path(index)}: cannot be read: {error.strerror or error}") from error
        return f"{found.st_size}-{found.st_mtime_ns}"

    @property
    def tasks(self) -> Mapping[str, Task]:
        """One task per layer."""
        return {name: layer.task for name, layer in self._layers.items()}

    def samples(self, task: str) -> Sequence[tuple[int, ...]]:
        """The images of each sample of a task."""
        own = self._layer(task).samples()
        return super().samples(task) if own is None else own

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one sample."""
        return self._layer(task).truth(sample)

    def annotation_digest(self) -> str:
        """sha256 (hex) over keys and all layers."""
        layers = {name: layer.digest() for name, layer in sorted(self._layers.items())}
        return json_sha256([[file.key for file in self.files], layers])

    def faults(self) -> list[Fault]:
        """What is wrong with the layers."""
        return [fault for layer in self._layers.values() for fault in layer.faults()]

    def _layer(self, task: str) -> Layer:
        if task not in self._layers:
            raise unknown(f"task of split {self.name!r}", task, self._layers)
        return self._layers[task]


def digest_of(path: Path) -> str:
    """sha256 (hex) of a file's bytes; raises ArgusError if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise ArgusError(f"{path}: cannot be read: {error.strerror or error}") from error


def find_files(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[ImageFile]:
    """Every image below ``folder`` in order of name; the key is the path from there, with forward slashes."""
    if not folder.is_dir():
        raise ArgusError(f"{folder}: no such folder")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file() and p.name[0] != ".")
    if not paths:
        raise ArgusError(f"{folder} holds no images; looked for {' '.join(suffixes)}")
    return [ImageFile(path.relative_to(folder).as_posix(), path) for path in paths]
