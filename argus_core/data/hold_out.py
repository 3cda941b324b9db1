"""Validation images from data that nothing divides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.data.split import DataSet, Split
from argus_core.errors import ArgusError, Fault

if TYPE_CHECKING:
    from argus_core.tasks import Task

TRAIN, VAL = "train", "val"


class Part(Split):
    """Some images of a split, by their indices, under a name of their own."""

    def __init__(self, name: str, whole: Split, indices: Sequence[int]) -> None:
        self.name, self._whole, self._indices = name, whole, tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def key(self, index: int) -> str:
        """As in the whole."""
        return self._whole.key(self._indices[index])

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB."""
        return self._whole.read(self._indices[index])

    def image_size(self, index: int) -> tuple[int, int]:
        """As in the whole."""
        return self._whole.image_size(self._indices[index])

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image's bytes."""
        return self._whole.digest(self._indices[index])

    def stamp(self, index: int) -> str:
        """As in the whole."""
        return self._whole.stamp(self._indices[index])

    def size(self, index: int) -> tuple[int, int] | None:
        """Height and width that the annotations state; None if they do not."""
        stated: Callable[[int], tuple[int, int] | None] | None = getattr(self._whole, "size", None)
        return stated(self._indices[index]) if stated else None

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Those of the whole."""
        return self._whole.tasks

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one image."""
        return self._whole.truth(self._indices[sample], task)

    def annotation_digest(self) -> str:
        """sha256 (hex) over that of the whole, and the keys of the images that belong to this part."""
        return json_sha256([self._whole.annotation_digest(), [self.key(index) for index in range(len(self))]])

    def faults(self) -> list[Fault]:
        """Those of the whole."""
        return self._whole.faults()

    def remarks(self) -> list[str]:
        """Those of the whole."""
        return self._whole.remarks()

    def left_out(self) -> str:
        """That of the whole."""
        return self._whole.left_out()


def hold_out(data: DataSet, share: float) -> dict[str, Split]:
    """The data with a ``share`` of their training images as ``val``: those whose keys have the smallest sha256.

    The images are those of ``train``, or of the only split; other splits stay. Which are held out depends on their keys
    alone. Raises ArgusError if there is a validation split already, or nothing to divide.
    """
    if not 0 < share < 1:
        raise ArgusError(f"hold_out={share:g} is no share of the images between 0 and 1, as in hold_out=0.2")
    source = next(iter(data)) if len(data) == 1 else TRAIN
    if VAL in data or source not in data:
        raise ArgusError(f"hold_out={share:g} divides data without val; these have {', '.join(data)}: leave it out")
    whole = data[source]
    if several := [task for task in whole.tasks if any(len(sample) > 1 for sample in whole.samples(task))]:
        raise ArgusError(f"hold_out={share:g} divides images, and {several[0]} compares several; make splits by hand")
    order = sorted(range(len(whole)), key=lambda index: hashlib.sha256(whole.key(index).encode()).digest())
    count = round(share * len(order))
    if not 0 < count < len(order):
        raise ArgusError(
            f"hold_out={share:g} leaves no image for one of two splits of {len(order)}; take another share"
        )
    held, kept = sorted(order[:count]), sorted(order[count:])
    rest = {name: split for name, split in data.items() if name != source}
    return {TRAIN: Part(TRAIN, whole, kept), VAL: Part(VAL, whole, held), **rest}
