"""Splits of image files with boxes, whatever format these were written in: equal boxes have equal digests."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from argus_core.common.files import json_sha256
from argus_core.errors import Fault, unknown
from argus_data.images import FileSplit, ImageFile

if TYPE_CHECKING:
    from pathlib import Path

    from argus_core.tasks import Task
    from argus_core.tasks.detect import Boxes


class BoxSplit(FileSplit):
    """Image files with the boxes of each, which a subclass gives.

    ``categories`` are the data set's own ids of the classes where these do not count from 0, ``passed_over`` is what
    the split's folders hold besides.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[ImageFile],
        classes: Sequence[str],
        faults: Sequence[Fault] = (),
        *,
        categories: Sequence[int] = (),
        passed_over: str = "",
    ) -> None:
        self.name = name
        self.classes, self.categories = tuple(classes), tuple(categories)
        self.files = tuple(files)
        self._faults, self._passed_over = tuple(faults), passed_over

    @abstractmethod
    def boxes(self, index: int) -> Boxes:
        """The boxes of one image, in pixels of the upright image."""

    def __len__(self) -> int:
        return len(self.files)

    def key(self, index: int) -> str:
        """As the adapter named the file."""
        return self.files[index].key

    def path(self, index: int) -> Path:
        """The image file."""
        return self.files[index].path

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Detection."""
        from argus_core.tasks.detect import Detect

        return {"detect": Detect(classes=self.classes, categories=self.categories)}

    def truth(self, sample: int, task: str) -> Boxes:
        """The boxes of one image."""
        if task != "detect":
            raise unknown(f"task of split {self.name!r}", task, ["detect"])
        return self.boxes(sample)

    def annotation_digest(self) -> str:
        """sha256 (hex) over classes, keys, boxes, labels, crowd flags and areas, like that of a COCO file."""
        return boxes_digest(self.classes, [file.key for file in self.files], map(self.boxes, range(len(self))))

    def faults(self) -> list[Fault]:
        """What the adapter found."""
        return list(self._faults)

    def left_out(self) -> str:
        """What the folders of the split hold besides images and labels, in one line."""
        return self._passed_over


def boxes_digest(classes: Sequence[str], keys: Sequence[str], boxes: Iterable[Boxes]) -> str:
    """sha256 (hex) over the classes, and the keys and boxes of all images."""
    truths = list(boxes)
    starts = np.cumsum([0, *(len(truth.labels) for truth in truths)], dtype=np.int64)
    digest = hashlib.sha256(json_sha256([classes, keys]).encode())
    digest.update(starts.astype("<i8").tobytes())
    flags = ("difficult",) if any(truth.difficult.any() for truth in truths) else ()
    for column in ("boxes", "labels", "crowd", "area", *flags):
        for truth in truths:
            values = getattr(truth, column)
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
