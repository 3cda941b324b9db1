"""A Pascal VOC folder as splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from argus_core import ArgusError, Detect, Fault, Split, read_image
from argus_core.common.files import file_sha256, json_sha256
from argus_core.tasks.detect import Boxes
from argus_voc.annotation import Annotation, read_annotation

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
PARTS = ("JPEGImages", "Annotations", "ImageSets/Main")
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


class VOCSplit(Split):
    """The images of one list; keys are the names in the list."""

    def __init__(
        self,
        name: str,
        images: Mapping[str, Path],
        annotations: Sequence[Annotation],
        classes: Sequence[str],
        difficult_is_crowd: bool,
    ) -> None:
        self.name = name
        self._keys, self._paths = tuple(images), tuple(images.values())
        self._annotations, self._classes, self._difficult_is_crowd = annotations, tuple(classes), difficult_is_crowd

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, index: int) -> str:
        """The name in the list, such as ``2007_000027``."""
        return self._keys[index]

    def path(self, index: int) -> Path:
        """The image file."""
        return self._paths[index]

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The image as (h, w, 3) RGB."""
        return read_image(self.path(index))

    def digest(self, index: int) -> str:
        """sha256 (hex) of the image file."""
        try:
            return file_sha256(self.path(index))
        except OSError as error:
            raise ArgusError(f"{self.path(index)}: cannot be read: {error.strerror or error}") from error

    def stamp(self, index: int) -> str:
        """Size and modification time of the image file."""
        try:
            status = self.path(index).stat()
        except OSError as error:
            raise ArgusError(f"{self.path(index)}: cannot be read: {error.strerror or error}") from error
        return f"{status.st_size}-{status.st_mtime_ns}"

    @property
    def tasks(self) -> Mapping[str, Detect]:
        """Detection."""
        return {"detect": Detect(classes=self._classes)}

    def truth(self, sample: int, task: str) -> Boxes:
        """The boxes of one image."""
        if task != "detect":
            raise ArgusError(f"Pascal VOC's folders have annotations for 'detect', not for {task!r}")
        objects = self._annotations[sample].objects
        boxes = np.array([entry.box for entry in objects], dtype=np.float64).reshape(-1, 4)
        labels = np.array([self._classes.index(entry.name) for entry in objects], dtype=np.int64)
        crowd = np.array([self._difficult_is_crowd and entry.difficult for entry in objects], dtype=np.bool_)
        return Boxes(boxes, labels, crowd, (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))

    def annotation_digest(self) -> str:
        """sha256 (hex) over classes, keys, boxes and marks."""
        crowd = self._difficult_is_crowd
        objects = [[(o.name, o.box, crowd and o.difficult) for o in file.objects] for file in self._annotations]
        return json_sha256([self._classes, self._keys, objects])

    def faults(self) -> list[Fault]:
        """What is wrong with the annotation files."""
        return [fault for annotation in self._annotations for fault in annotation.faults]


def open_voc(
    path: str,
    *,
    train: str = "train",
    val: str = "val",
    difficult: Literal["crowd", "object"] = "crowd",
    first: Literal[0, 1] = 1,
    limit: int = 0,
) -> dict[str, VOCSplit]:
    """Splits ``train`` and ``val`` of a folder with JPEGImages, Annotations and ImageSets/Main.

    ``train`` and ``val`` name lists of ImageSets/Main. ``difficult`` objects are crowd regions, or ordinary
    objects. ``first`` is the number of the first pixel. ``limit`` keeps the first images of each list; 0 keeps all.
    Raises ArgusError for a folder without these parts and for images or annotations that are not there.
    """
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
    root = _root(Path(path).expanduser())
    images = {split: _images(root, name, limit) for split, name in {"train": train, "val": val}.items()}
    annotations = {
        split: [read_annotation(root / "Annotations" / f"{key}.xml", first) for key in keys]
        for split, keys in images.items()
    }
    used = {entry.name for split in annotations.values() for file in split for entry in file.objects}
    classes = CLASSES if used <= set(CLASSES) else tuple(sorted(used))
    crowd = difficult == "crowd"
    return {split: VOCSplit(split, images[split], annotations[split], classes, crowd) for split in images}


def _root(folder: Path) -> Path:
    """The folder that holds the parts: this one, or the only one in it that does."""
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    roots = [root for root in (folder, *children) if all((root / part).is_dir() for part in PARTS)]
    if len(roots) == 1 or roots[:1] == [folder]:
        return roots[0]
    if roots:
        raise ArgusError(f"{folder} holds {' and '.join(root.name for root in roots)}; give one of them")
    raise ArgusError(f"{folder} is no Pascal VOC folder: there is no {', '.join(PARTS)} in it")


def _images(root: Path, name: str, limit: int) -> dict[str, Path]:
    """The images of a list by key, in its order."""
    file = root / "ImageSets" / "Main" / f"{name}.txt"
    lists = sorted(path.stem for path in file.parent.glob("*.txt"))
    if name not in lists:
        raise ArgusError(f"{file.parent} has no list {name!r}; it has {', '.join(lists) or 'none'}")
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    keys = [line[0] for line in lines if line]
    if not keys or len(set(keys)) != len(keys):
        raise ArgusError(f"{file} {'names an image twice' if keys else 'names no image'}")
    return {key: _image(root, key, file) for key in keys[: limit or None]}


def _image(root: Path, key: str, file: Path) -> Path:
    if not re.fullmatch(r"[\w-][\w.-]*", key):
        raise ArgusError(f"{file}: {key!r} is no name of an image; give names without folders and suffixes")
    for suffix in SUFFIXES:
        if (path := root / "JPEGImages" / f"{key}{suffix}").is_file():
            return path
    raise ArgusError(f"{file} names {key}, but {root / 'JPEGImages'} has no {key}.jpg or .png")
