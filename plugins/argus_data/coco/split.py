"""COCO-style data sets as they lie on disk: as published, and as annotation tools write them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_data.coco.annotations import Category, CocoFile, read_coco
from argus_data.coco.layout import find_files
from argus_data.files.images import FileSplit, data_root
from argus_data.files.local_names import located, spelt_on_disk

if TYPE_CHECKING:
    from argus_core.tasks import Task
    from argus_core.tasks.detect import Boxes


class CocoSplit(FileSplit):
    """The images of one annotation file; keys are its file names, relative where these are absolute."""

    def __init__(self, name: str, folders: Sequence[Path], content: CocoFile, classes: tuple[str, ...]) -> None:
        self.name = name
        self.classes = classes
        self._folder, names = located(content.names, folders)
        self._content = content = replace(content, names=names)
        ids = {category.name: category.id for category in content.categories}
        self._ids = tuple(ids[name] for name in classes) if ids.keys() >= set(classes) else ()
        # Class names join the splits: each file may number them differently.
        index = {name: label for label, name in enumerate(classes)}
        labels = np.array([index.get(category.name, -1) for category in content.categories], dtype=np.int64)
        self._labels = labels[content.category]

    def __len__(self) -> int:
        return len(self._content.names)

    def key(self, index: int) -> str:
        """The file name as the annotations give it, with forward slashes and never absolute."""
        return self._content.names[index]

    def path(self, index: int) -> Path:
        """The image file."""
        return spelt_on_disk(self._folder, self.key(index))

    def size(self, index: int) -> tuple[int, int] | None:
        """Height and width in pixels from the annotations; None if they are not there."""
        return self._content.sizes[index]

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Detection, unless the file has no annotations at all, as published test sets do."""
        from argus_core.tasks.detect import Detect

        return {"detect": Detect(classes=self.classes, categories=self._ids)} if self._content.annotated else {}

    def truth(self, index: int, task: str) -> Boxes:
        """The boxes of one image."""
        from argus_core.tasks.detect import Boxes

        if task != "detect" or not self._content.annotated:
            known = ["detect"] if self._content.annotated else []
            raise unknown(f"task of split {self.name!r}", task, known)
        content = self._content
        rows = slice(content.starts[index], content.starts[index + 1])
        return Boxes(content.boxes[rows], self._labels[rows], content.crowd[rows], content.area[rows])

    def annotation_digest(self) -> str:
        """sha256 (hex) over classes, keys, boxes, labels, crowd flags and areas."""
        content = self._content
        digest = hashlib.sha256(json_sha256([self.classes, content.names]).encode())
        for column in (content.starts, content.boxes, self._labels, content.crowd, content.area):
            digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def faults(self) -> list[Fault]:
        """What is wrong with the annotation file."""
        return list(self._content.faults)


def open_coco(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """The splits in folder ``path``: ``train``, ``val`` and ``test``, as far as they are there, or else ``all``.

    Known are the official layout (annotations/instances_train2017.json beside train2017/), Roboflow's
    (train/_annotations.coco.json among the images, ``valid`` for ``val``), CVAT's (annotations/instances_default.json),
    FiftyOne's (labels.json beside data/), Label Studio's (result.json), and train.json, val.json with file names
    relative to ``path``, which may also be a file. Images are found beside it or in folders called data, images or like
    it. ``limit`` keeps the first images of every split; 0 keeps all. Raises ArgusError if nothing is found, a file is
    not COCO, or the splits do not have the same class names.
    """
    root = data_root(path, limit)
    if not root.exists():
        raise ArgusError(f"{root}: no such folder; give the one that holds the annotations and images")
    places = find_files(root)
    contents = {name: read_coco(file, limit) for name, (file, _) in places.items()}
    classes = _common_classes({str(places[name][0]): content for name, content in contents.items()})
    return {name: CocoSplit(name, places[name][1], content, classes) for name, content in contents.items()}


def _common_classes(files: Mapping[str, CocoFile]) -> tuple[str, ...]:
    """Class names by rising category id of the first file that has any; ``files`` are keyed by their path.

    Ids may differ between files. Raises ArgusError if names repeat or the files disagree.
    """
    used = frozenset().union(*(file.used for file in files.values()))
    names = {path: _class_names(path, file, used) for path, file in files.items() if file.categories}
    if not names:
        raise ArgusError(f"no categories in {', '.join(files)}; a detection data set needs named classes")
    (first, classes), *others = names.items()
    for path, other_classes in others:
        missing, extra = sorted(set(classes) - set(other_classes)), sorted(set(other_classes) - set(classes))
        if missing or extra:
            raise ArgusError(
                f"the class names of {first} and {path} differ: only the first has {missing or 'none'}, "
                f"only the second has {extra or 'none'}; name the categories alike in both"
            )
    return classes


def _class_names(path: str, file: CocoFile, used: frozenset[Category]) -> tuple[str, ...]:
    parents = {category.parent for category in file.categories}
    # Roboflow writes the name of the data set as a first category that no object has.
    real = [c for c in file.categories if c in used or c.parent or c.name not in parents]
    names = tuple(category.name for category in real)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ArgusError(f"{path}: several categories are named {', '.join(repeated)}; classes need distinct names")
    return names
