"""COCO-style data sets as they lie on disk: official, Roboflow and flat layouts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, unknown
from argus_data.coco_file import Category, CocoFile, read_coco
from argus_data.images import FileSplit, data_root
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


class CocoSplit(FileSplit):
    """The images of one annotation file; keys are its file names, relative where these are absolute."""

    def __init__(self, name: str, folder: Path, content: CocoFile, classes: tuple[str, ...]) -> None:
        self.name = name
        self.classes = classes
        self._folder, names = local_names(content.names, folder)
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
    """The splits in folder ``path``: ``train``, ``val`` and ``test``, as far as they are there.

    Known are the official layout (annotations/instances_train2017.json beside train2017/), Roboflow's
    (train/_annotations.coco.json among the images, ``valid`` for ``val``) and train.json, val.json with file names
    relative to ``path``. ``limit`` keeps the first images of every split; 0 keeps all. Raises ArgusError if nothing
    is found, a file is not COCO, or the splits do not have the same class names.
    """
    root = data_root(path, limit)
    if not root.is_dir():
        raise ArgusError(f"{root}: no such folder; give the one that holds the annotations and images")
    places = {name: place for name in SPLITS if (place := _find(root, name))}
    if not places:
        looked = ", ".join(layout.format(split="{train,val,test}") for layout in LAYOUTS)
        raise ArgusError(
            f"{root} holds no COCO data set; looked for {looked}. "
            "Class folders are folder:PATH, masks and depth maps images:PATH"
        )
    contents = {name: read_coco(file, limit) for name, (file, _) in places.items()}
    classes = _common_classes({str(places[name][0]): content for name, content in contents.items()})
    return {name: CocoSplit(name, places[name][1], content, classes) for name, content in contents.items()}


def _find(root: Path, name: str) -> tuple[Path, Path] | None:
    """The annotation file of a split, and the folder that its file names are relative to."""
    for layout in LAYOUTS:
        patterns = [_any_case(layout.format(split=split)) for split in SPLITS[name]]
        files = list(dict.fromkeys(file for pattern in patterns for file in sorted(root.glob(pattern))))
        places = [(file, _image_folder(root, file)) for file in files]
        # Annotations of several years may lie together where the images of only one are there.
        places = [place for place in places if place[1].is_dir()] if len(places) > 1 else places
        if len(places) > 1:
            names = " and ".join(str(file.relative_to(root)) for file, _ in places)
            raise ArgusError(f"{root}: {names} both offer split {name!r}; keep one of them there")
        if places:
            return places[0]
        if files:
            raise ArgusError(f"{root}: none of {', '.join(map(str, files))} has its image folder beside it")
    return None


def _image_folder(root: Path, file: Path) -> Path:
    if file.name.lower() == "_annotations.coco.json":
        return file.parent
    if file.parent.name.lower() != "annotations":
        return root
    name = re.sub(r"^(instances_|image_info_)|-dev", "", file.stem, flags=re.IGNORECASE)
    alike = [child for child in root.iterdir() if child.name.lower() == name.lower() and child.is_dir()]
    return root / name if (root / name).is_dir() or len(alike) != 1 else alike[0]


def _any_case(pattern: str) -> str:
    """A pattern of ``glob`` that matches letters in any case."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in pattern)


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
