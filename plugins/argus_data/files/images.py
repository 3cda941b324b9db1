"""Splits of image files with layers of annotation, one per task: what every adapter for folders is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from argus_core.common.files import Openable, file_sha256, json_sha256
from argus_core.common.places import place, snapshot, stamp_of
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_core.image import IMAGES, Listing, composed, is_hidden, list_images, read_image

if TYPE_CHECKING:
    from argus_core.tasks import Task

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""What the folder of each split may be called, in any case."""


def data_root(path: str | Path, limit: int) -> Path:
    """The place that a data spec names, with ``~`` expanded; raises ArgusError for a negative ``limit``."""
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
    return snapshot(place(path).expanduser())


@dataclass(frozen=True)
class ImageFile:
    """An image on disk under a key that is the same on every machine."""

    key: str
    path: Path


class AnnotationFile(Openable, Protocol):
    """A path, or a file that lies inside a table."""

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        ...

    def is_file(self) -> bool:
        """Whether it is there."""
        ...


class Layer(ABC):
    """The annotations of a split's images for one task, read on demand."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task with the classes or the range of the data set."""

    @abstractmethod
    def truth(self, sample: int) -> Any:
        """The annotation of one sample; raises ArgusError, naming the file, if it is missing or wrong."""

    @abstractmethod
    def digest(self) -> str:
        """sha256 (hex) over everything the truths depend on."""

    def samples(self) -> Sequence[tuple[int, ...]] | None:
        """The images of each sample; None where every image is one."""
        return None

    def faults(self) -> list[Fault]:
        """What is wrong with the annotations, as far as it shows without reading all of them."""
        return []


class FileSplit(Split):
    """A split whose images are files: ``path`` is all that reading them needs."""

    @abstractmethod
    def path(self, index: int) -> Path:
        """The image file."""

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB; raises ArgusError with its path if it cannot be read."""
        return read_image(self.path(index))

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image file."""
        return digest_of(self.path(index))

    def stamp(self, index: int) -> str:
        """Size and modification time of the image file, or its version in an object store."""
        try:
            return stamp_of(self.path(index))
        except OSError as error:
            raise _unreadable(self.path(index), error) from error


class LayeredSplit(Split):
    """Images under fixed keys with one layer per task; ``faults`` are those that the adapter has to report itself."""

    def __init__(self, name: str, keys: Sequence[str], layers: Sequence[Layer], faults: Sequence[Fault] = ()) -> None:
        self.name = name
        self._keys = tuple(keys)
        self._layers = {layer.task.name: layer for layer in layers}
        self._faults = tuple(faults)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """As the adapter named the image."""
        return self._keys[index]

    @property
    def tasks(self) -> Mapping[str, Task]:
        """One task per layer."""
        return {name: layer.task for name, layer in self._layers.items()}

    def samples(self, task: str) -> Sequence[tuple[int, ...]]:
        """The images of each sample of a task."""
        samples = self._layer(task).samples()
        return super().samples(task) if samples is None else samples

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one sample."""
        return self._layer(task).truth(sample)

    def annotation_digest(self) -> str:
        """sha256 (hex) over keys and all layers."""
        layers = {name: layer.digest() for name, layer in sorted(self._layers.items())}
        return json_sha256([self._keys, layers])

    def faults(self) -> list[Fault]:
        """Those of the adapter, and those of the layers."""
        return [*self._faults, *(fault for layer in self._layers.values() for fault in layer.faults())]

    def _layer(self, task: str) -> Layer:
        if task not in self._layers:
            raise unknown(f"task of split {self.name!r}", task, self._layers)
        return self._layers[task]


class ImageSplit(LayeredSplit, FileSplit):
    """Image files in a fixed order with one layer per task.

    ``listings`` are the folders that were searched for images, ``faults`` what the adapter has to report itself.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[ImageFile],
        layers: Sequence[Layer],
        listings: Sequence[Listing] = (),
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(name, [file.key for file in files], layers, faults)
        self.files = tuple(files)
        self._listings = tuple(listings)

    def path(self, index: int) -> Path:
        """The image file."""
        return self.files[index].path

    def faults(self) -> list[Fault]:
        """Those of the adapter, files that look like images but are skipped, and those of the layers."""
        lost = [
            Fault(f"{self.name}, {listing.folder}", loss, dropped=True)
            for listing in self._listings
            for loss in listing.losses
        ]
        return [*lost, *super().faults()]

    def left_out(self) -> str:
        """What the folders of the split hold besides images and annotations, in one line."""
        return "; ".join(f"{listing} in {listing.folder}" for listing in self._listings if listing.left_out)


def digest_of(path: Openable) -> str:
    """sha256 (hex) of a file's bytes; raises ArgusError if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Openable, error: OSError) -> ArgusError:
    return ArgusError(f"{path}: cannot be read: {error.strerror or error}")


def find_files(folder: Path, suffixes: Collection[str] = IMAGES) -> Listing:
    """All images below ``folder``; raises ArgusError, with what else lies there, if there are none."""
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
    """Images whose keys are their paths below ``folder``, with forward slashes and composed letters on every system."""
    keys = [path.relative_to(folder).as_posix() for path in paths]
    alike = {composed(key) for key in keys}
    # Two names that differ only in how their accents are encoded are two images, so their keys stay as they are.
    keys = [composed(key) for key in keys] if len(alike) == len(keys) else keys
    return [ImageFile(key, path) for key, path in zip(keys, paths, strict=True)]


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of train, val and test in ``root`` that exist, whatever their case.

    Raises ArgusError where two folders could be one split.
    """
    children = sorted(root.iterdir()) if root.is_dir() else []
    folders = [child for child in children if child.is_dir() and not is_hidden(child.name)]
    splits = {name: [folder for folder in folders if folder.name.lower() in names] for name, names in SPLITS.items()}
    for candidates in splits.values():
        if len(candidates) > 1:
            raise ArgusError(f"{' and '.join(map(str, candidates))} are the same split; keep one of them")
    return {name: candidates[0] for name, candidates in splits.items() if candidates}
