"""A split of image files with layers of annotation, one per task: what every adapter for folders is made of."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import file_sha256, json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_core.image import IMAGES, Listing, composed, is_hidden, list_images, read_image

if TYPE_CHECKING:
    from argus_core.tasks import Task

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""What the folder of each split may be called, in any case."""


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
    """Image files in a fixed order, and a layer per task; ``listings`` are the folders that were looked through."""

    def __init__(
        self, name: str, files: Sequence[ImageFile], layers: Sequence[Layer], listings: Sequence[Listing] = ()
    ) -> None:
        self.name = name
        self.files = tuple(files)
        self._listings = tuple(listings)
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
        """Images that are passed over and could have been wanted, and what is wrong with the layers."""
        lost = [
            Fault(f"{self.name}, {one.folder}", loss, dropped=True) for one in self._listings for loss in one.losses
        ]
        return [*lost, *(fault for layer in self._layers.values() for fault in layer.faults())]

    def left_out(self) -> str:
        """What lies in the split's folders besides its images and annotations, in one line."""
        return "; ".join(f"{one} in {one.folder}" for one in self._listings if one.left_out)

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


def find_files(folder: Path, suffixes: Collection[str] = IMAGES) -> Listing:
    """Every image below ``folder``; raises ArgusError, with what lies there instead, if there is none."""
    if not folder.is_dir():
        raise ArgusError(f"{folder}: no such folder")
    listing = list_images(folder, suffixes)
    if not listing.paths:
        raise no_images(listing, suffixes)
    return listing


def no_images(listing: Listing, suffixes: Collection[str] = IMAGES) -> ArgusError:
    """The error for a folder without images."""
    but = f", but {listing}" if listing.left_out else ""
    return ArgusError(f"{listing.folder} holds no images{but}; looked for {' '.join(sorted(suffixes))}")


def image_files(paths: Sequence[Path], folder: Path) -> list[ImageFile]:
    """Images under the path from ``folder``, with forward slashes and composed letters on every system."""
    keys = [path.relative_to(folder).as_posix() for path in paths]
    alike = {composed(key) for key in keys}
    # Two names that differ in how their accents are written are two images, whose keys stay as they are.
    keys = [composed(key) for key in keys] if len(alike) == len(keys) else keys
    return [ImageFile(key, path) for key, path in zip(keys, paths, strict=True)]


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of train, val and test in ``root``, as far as they are there, whatever their case.

    Raises ArgusError where two folders could be one split.
    """
    here = [one for one in sorted(root.iterdir()) if one.is_dir() and not is_hidden(one.name)] if root.is_dir() else []
    found = {name: [one for one in here if one.name.lower() in names] for name, names in SPLITS.items()}
    for folders in found.values():
        if len(folders) > 1:
            raise ArgusError(f"{' and '.join(map(str, folders))} are the same split; keep one of them")
    return {name: folders[0] for name, folders in found.items() if folders}
