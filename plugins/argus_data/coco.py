"""COCO-style data sets as they lie on disk: official, Roboflow and flat layouts."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from argus_core.common.files import file_sha256, json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_core.image import read_image
from argus_data.coco_classes import common_classes
from argus_data.coco_file import CocoFile, read_coco
from argus_data.local_names import local_names, spelt_on_disk

if TYPE_CHECKING:
    from argus_core.tasks import Task
    from argus_core.tasks.detect import Boxes

__all__ = ["CocoSplit", "open_coco"]

SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
LAYOUTS = (
    "annotations/instances_{split}*.json",
    "annotations/image_info_{split}-dev*.json",
    "{split}/_annotations.coco.json",
    "{split}.json",
)


class CocoSplit(Split):
    """The images of one annotation file; keys are its file names, relative where these are absolute."""

    def __init__(self, name: str, folder: Path, content: CocoFile, classes: tuple[str, ...]) -> None:
        self.name = name
        self.classes = classes
        self._folder, names = local_names(content.names, folder)
        self._content = content = replace(content, names=names)
        ids = {category.name: category.id for category in content.categories}
        self._ids = tuple(ids[one] for one in classes) if ids.keys() >= set(classes) else ()
        # Class names join the splits: each file may number them differently.
        label = {name: row for row, name in enumerate(classes)}
        own = np.array([label.get(category.name, -1) for category in content.categories], dtype=np.int64)
        self._labels = own[content.category]

    def __len__(self) -> int:
        return len(self._content.names)

    def key(self, index: int) -> str:
        """The file name as the annotations give it, with forward slashes and never absolute."""
        return self._content.names[index]

    def path(self, index: int) -> Path:
        """Where the image lies."""
        return spelt_on_disk(self._folder, self.key(index))

    def size(self, index: int) -> tuple[int, int] | None:
        """Height and width in pixels that the annotations assume; None if they do not say."""
        return self._content.sizes[index]

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB; raises ArgusError with its path if it cannot be read."""
        return read_image(self.path(index))

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image file."""
        try:
            return file_sha256(self.path(index))
        except OSError as error:
            raise _unreadable(self.path(index), error) from error

    def stamp(self, index: int) -> str:
        """Size and modification time of the image file."""
        try:
            found = os.stat(self.path(index))
        except OSError as error:
            raise _unreadable(self.path(index), error) from error
        return f"{found.st_size}-{found.st_mtime_ns}"

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


@dataclass(frozen=True)
class _Found:
    """An annotation file and the folder its file names are relative to."""

    file: Path
    folder: Path


def open_coco(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """The splits found in folder ``path``: ``train``, ``val`` and ``test``, as far as they are there.

    Known are the official layout (annotations/instances_train2017.json beside train2017/), Roboflow's
    (train/_annotations.coco.json among the images, ``valid`` for ``val``) and train.json, val.json with file names
    relative to ``path``. ``limit`` keeps the first images of every split; 0 keeps all. Raises ArgusError if nothing
    is found, a file is not COCO, or the splits do not have the same class names.
    """
    root = Path(path).expanduser()
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
    if not root.is_dir():
        raise ArgusError(f"{root}: no such folder; give the one that holds the annotations and images")
    found = {name: where for name in SPLITS if (where := _find(root, name))}
    if not found:
        looked = ", ".join(layout.format(split="{train,val,test}") for layout in LAYOUTS)
        raise ArgusError(
            f"{root} holds no COCO data set; looked for {looked}. "
            "Class folders are folder:PATH, masks and depth maps images:PATH"
        )
    contents = {name: read_coco(where.file, limit) for name, where in found.items()}
    classes = common_classes({str(found[name].file): content for name, content in contents.items()})
    return {name: CocoSplit(name, found[name].folder, content, classes) for name, content in contents.items()}


def _find(root: Path, name: str) -> _Found | None:
    for layout in LAYOUTS:
        patterns = [_any_case(layout.format(split=split)) for split in SPLITS[name]]
        files = list(dict.fromkeys(file for pattern in patterns for file in sorted(root.glob(pattern))))
        found = [_Found(file, _image_folder(root, file)) for file in files]
        # Annotations of several years may lie together where the images of one are there.
        found = [one for one in found if one.folder.is_dir()] if len(found) > 1 else found
        if len(found) > 1:
            names = " and ".join(str(one.file.relative_to(root)) for one in found)
            raise ArgusError(f"{root}: {names} both offer split {name!r}; keep one of them there")
        if found:
            return found[0]
        if files:
            raise ArgusError(f"{root}: none of {', '.join(map(str, files))} has its image folder beside it")
    return None


def _image_folder(root: Path, file: Path) -> Path:
    if file.name.lower() == "_annotations.coco.json":
        return file.parent
    if file.parent.name.lower() != "annotations":
        return root
    name = re.sub(r"^(instances_|image_info_)|-dev", "", file.stem, flags=re.IGNORECASE)
    alike = [one for one in root.iterdir() if one.name.lower() == name.lower() and one.is_dir()]
    return root / name if (root / name).is_dir() or len(alike) != 1 else alike[0]


def _any_case(pattern: str) -> str:
    """A pattern of ``glob`` that matches letters in any case."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in pattern)


def _unreadable(path: Path, error: OSError) -> ArgusError:
    return ArgusError(f"{path}: cannot be read: {error.strerror or error}")
