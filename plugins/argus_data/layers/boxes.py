"""Splits of image files with boxes, whatever format these were written in: equal boxes have equal digests."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from argus_core.common.files import json_sha256
from argus_core.errors import ArgusError, Fault, unknown
from argus_data.files.images import FileSplit, ImageFile, ImageSplit

if TYPE_CHECKING:
    from argus_core.image import Listing
    from argus_core.tasks import Task
    from argus_core.tasks.detect import Boxes


class BoxSplit(ImageSplit):
    """Image files with the boxes of each, which a subclass gives.

    ``listings`` are the folders that were searched for images, ``faults`` what the adapter has to report,
    ``categories`` the data set's own ids of the classes. Published test sets are not ``annotated``.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[ImageFile],
        classes: Sequence[str],
        listings: Sequence[Listing] = (),
        faults: Sequence[Fault] = (),
        *,
        categories: Sequence[int] = (),
        annotated: bool = True,
    ) -> None:
        super().__init__(name, files, (), listings, faults)
        self.classes, self.categories, self._annotated = tuple(classes), tuple(categories), annotated

    @abstractmethod
    def boxes(self, index: int) -> Boxes:
        """The boxes of one image, in pixels of the upright image."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Detection, unless nothing is annotated."""
        from argus_core.tasks.detect import Detect

        return {"detect": Detect(classes=self.classes, categories=self.categories)} if self._annotated else {}

    def samples(self, task: str) -> Sequence[tuple[int, ...]]:
        """Every image by itself."""
        return FileSplit.samples(self, task)

    def truth(self, sample: int, task: str) -> Boxes:
        """The boxes of one image."""
        if task not in self.tasks:
            raise unknown(f"task of split {self.name!r}", task, self.tasks)
        return self.boxes(sample)

    def annotation_digest(self) -> str:
        """sha256 (hex) over classes, keys, boxes, labels, crowd flags and areas, like that of a COCO file."""
        return boxes_digest(self.classes, [file.key for file in self.files], map(self._readable, range(len(self))))

    def _readable(self, index: int) -> Boxes:
        """The boxes of an image; none where they need its size, and it cannot be read, as whoever reads it reports."""
        from argus_core.tasks.detect import Boxes

        try:
            return self.boxes(index)
        except ArgusError:
            return Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0))


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
