"""What a data set must offer; adapters live in plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError, Fault
from argus_core.registry.loading import describe_error, home_of, translated

if TYPE_CHECKING:
    from argus_core.tasks import Task


class Split(ABC):
    """Images in a fixed order with their annotations; reading happens per image."""

    name: str

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """A name of the image that is unique in the split and stable between machines."""

    @abstractmethod
    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB; raises ArgusError with its path if it cannot be read."""

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of the image in pixels; raises ArgusError as ``read`` does, which it calls by default."""
        height, width, _ = self.read(index).shape
        return height, width

    @abstractmethod
    def digest(self, index: int) -> str:
        """sha256 (hex) of the image's bytes."""

    @abstractmethod
    def stamp(self, index: int) -> str:
        """A cheap value that changes with the image's bytes, such as size and modification time."""

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that this split has annotations for, by name, with the data set's numbers."""

    def samples(self, task: str) -> Sequence[tuple[int, ...]]:
        """The images of each sample of a task: one, or several if the task compares images."""
        return [(index,) for index in range(len(self))]

    @abstractmethod
    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one sample (an image, unless ``samples`` says otherwise), as the task defines it."""

    @abstractmethod
    def annotation_digest(self) -> str:
        """sha256 (hex) of keys and annotations: splits with the same digest give the same scores."""

    def faults(self) -> list[Fault]:
        """What is wrong with the annotations; images are checked by the caller."""
        return []

    def remarks(self) -> list[str]:
        """What users should know of how the annotations were read; these are no faults."""
        return []

    def left_out(self) -> str:
        """A line that counts other files in the split's folders, which are no faults."""
        return ""


DataSet = Mapping[str, Split]
"""Splits by name, such as ``train`` and ``val``."""


def read_truth(split: Split, sample: int, task: str) -> Any:
    """``split.truth(sample, task)``; raises ArgusError, naming the images of the sample, for whatever that raises."""
    try:
        with guarded(split):
            return split.truth(sample, task)
    except ArgusError as error:
        images = " and ".join(split.key(index) for index in split.samples(task)[sample])
        raise ArgusError(f"{split.name}, {task} of {images}: {error}") from error


def guarded(split: Split) -> AbstractContextManager[None]:
    """Turn what a data set raises into an ArgusError with the type and the line; as it is with ARGUS_DEBUG=1."""
    home = home_of(type(split))
    return translated(lambda error: f"{describe_error(error, home)}; ARGUS_DEBUG=1 shows the traceback")
