"""Data sets of YOLO: a text file of labels for each image, as Ultralytics, Roboflow, CVAT and Darknet lay them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from argus_core.data import Split
from argus_core.errors import ArgusError, Fault
from argus_core.image import Listing, read_size
from argus_data.files.images import ImageFile, data_root
from argus_data.layers.boxes import BoxSplit
from argus_data.yolo.config import DARKNET, YAML, Config, find_class_list, find_config, has_names, yaml_files
from argus_data.yolo.image_files import LabelFinder, Source, combined, find_sources, has_labels
from argus_data.yolo.labels import LabelReader, Labels

if TYPE_CHECKING:
    from argus_core.tasks.detect import Boxes


SNAP = 0.01
"""Pixels within which a side of a box is taken to lie on a whole pixel, as shares are rounded when they are written."""


class YoloSplit(BoxSplit):
    """Images whose boxes are shares of their sizes, which are read from the images when they are needed."""

    def __init__(
        self,
        name: str,
        files: Sequence[ImageFile],
        labels: Sequence[Labels],
        config: Config,
        faults: Sequence[Fault],
        *,
        annotated: bool,
        listings: Sequence[Listing],
        remarks: Sequence[str],
    ) -> None:
        numbers, classes = list(config.names), list(config.names.values())
        sparse = numbers if numbers != list(range(len(numbers))) else []
        super().__init__(name, files, classes, listings, faults, categories=sparse, annotated=annotated)
        self._labels, self._remarks = tuple(labels), tuple(remarks)
        self._sizes: dict[int, tuple[int, int]] = {}

    def boxes(self, index: int) -> Boxes:
        """The boxes of one image; raises ArgusError if its size cannot be read."""
        from argus_core.tasks.detect import Boxes

        labels = self._labels[index]
        if not len(labels.labels):
            return Boxes(labels.boxes, labels.labels, np.zeros(0, dtype=np.bool_), labels.area)
        height, width = self._size(index)
        boxes = to_pixels(labels.boxes, height, width)
        area = labels.area * (height * width)
        plain = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        crowd = np.zeros(len(labels.labels), dtype=np.bool_)
        return Boxes(boxes, labels.labels, crowd, np.where(np.isnan(area), plain, area))

    def remarks(self) -> list[str]:
        """What is taken of lines that hold more than a box, and a test split that is only named."""
        return list(self._remarks)

    def _size(self, index: int) -> tuple[int, int]:
        if index not in self._sizes:
            self._sizes[index] = read_size(self.path(index))
        return self._sizes[index]


def to_pixels(shares: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Boxes (N, 4) in pixels; sides within ``SNAP`` of a whole pixel are on it, unless nothing would be left."""
    boxes = shares * np.array([width, height, width, height], dtype=np.float64)
    whole = np.rint(boxes)
    snapped = np.where(np.abs(boxes - whole) <= SNAP, whole, boxes)
    return np.where((snapped[:, :2] < snapped[:, 2:]).all(axis=1, keepdims=True), snapped, boxes)


def open_yolo(path: str | Path, *, labels: str = "", limit: int = 0) -> dict[str, Split]:
    """The splits that a YAML file names, or that folders show; ``path`` is the file, or the folder it lies in.

    Without data.yaml, classes.txt or obj.names has the names, and images lie in images/SPLIT, SPLIT/images or SPLIT, or
    in one place, which is one split, ``all``. Labels are those of each image's name in labels/ in place of images/,
    in labels/ among the images, or beside them; ``labels`` names another folder below the data set. A line is a box
    (class x y width height), or a polygon or an oriented box, whose surrounding box is taken; of a pose the box is
    taken. An image without a label file has no objects. ``limit`` keeps the first images of every split; 0 keeps all.
    """
    config = find_config(data_root(path, limit))
    given = config.folder / labels if labels else None
    if given is not None and not given.is_dir():
        raise ArgusError(f"labels={labels}: there is no folder {given}")
    sources = find_sources(config)
    faults = {name: _shared(name, sources) for name in sources}
    next(iter(faults.values())).extend(config.faults)
    configs = {name: replace(config, remarks=[]) if number else config for number, name in enumerate(sources)}
    return {
        name: _open_split(name, sources[name], configs[name], LabelFinder(given), faults[name], limit)
        for name in sources
    }


def _open_split(
    name: str, sources: Sequence[Source], config: Config, finder: LabelFinder, faults: Sequence[Fault], limit: int
) -> YoloSplit:
    files = combined(sources)
    found = [finder.find(file) for file in files]
    if not any(found) and name != "test":
        looked = ", ".join(map(str, finder.looked_in()))
        raise ArgusError(
            f"split {name!r}: none of {len(files)} images has a label file of its name, such as "
            f"{files[0].path.stem}.txt; looked in {looked}; labels=FOLDER names another"
        )
    listings = [source.listing for source in sources if source.listing]
    faults = [*faults, *(fault for source in sources for fault in source.faults), *_label_faults(name, files, found)]
    if len(listings) == len(sources):  # other images in the folder of a list may have labels too
        faults += _orphans(finder)
    reader = LabelReader(name, {number: label for label, number in enumerate(config.names)}, config.keypoints)
    labels = _read(reader, files[: limit or None], found, config.folder)
    return YoloSplit(
        name,
        list(labels),
        list(labels.values()),
        config,
        [*faults, *reader.faults()],
        annotated=any(found),
        listings=[finder.without_known(listing, config) for listing in listings],
        remarks=[*config.remarks, *reader.remarks()],
    )


def _read(
    reader: LabelReader, files: Sequence[ImageFile], found: Sequence[Sequence[Path]], root: Path
) -> dict[ImageFile, Labels]:
    """The labels of the images, without those whose label file cannot be read."""
    read = {
        file: reader.read(paths[0], _shown(paths[0], root)) if paths else Labels.of()
        for file, paths in zip(files, found, strict=False)
    }
    return {file: labels for file, labels in read.items() if labels is not None}


def _orphans(finder: LabelFinder) -> list[Fault]:
    kind = "label files without an image"
    return [Fault(str(label), "a label file without an image", kind=kind) for label in finder.orphans()]


def _label_faults(name: str, files: Sequence[ImageFile], found: Sequence[Sequence[Path]]) -> list[Fault]:
    """Images without a label file, with several, or with that of another image; none where no image has one."""
    owners: dict[Path, str] = {}
    faults = []
    for file, paths in zip(files, found, strict=True) if any(found) else ():
        where = f"{name}, image {file.key}"
        if not paths:
            what = "it has no label file, so that it counts as an image without objects"
            faults.append(Fault(where, what, kind="images without a label file, taken for images without objects"))
        elif (owner := owners.setdefault(paths[0], file.key)) != file.key:
            what = f"it shares its label file with {owner}"
            faults.append(Fault(where, what, kind="images that share a label file", total=len(files)))
        elif len(paths) > 1:
            what = f"its labels are taken from {paths[0]}, not from {paths[1]}"
            faults.append(Fault(where, what, kind="images with several label files"))
    return faults


def _shared(name: str, sources: Mapping[str, Sequence[Source]]) -> list[Fault]:
    """Folders and lists of a split that are those of an earlier one, too."""
    earlier = {source.place: other for other in reversed(list(sources)) for source in sources[other] if other != name}
    before = list(sources)[: list(sources).index(name)]
    return [
        Fault(
            f"{name}, {source.place}", f"these are the images of split {first!r} too, which it was to be tried against"
        )
        for source in sources[name]
        if (first := earlier.get(source.place)) in before
    ]


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def yolo_layout(path: Path) -> str:
    """By what a path is known as a data set of YOLO: its YAML file, obj.data, or class names beside labels."""
    if path.is_file():
        return f"{path.name} names classes" if path.suffix.lower() in YAML and has_names(path) else ""
    if not path.is_dir():
        return ""
    if files := yaml_files(path):
        return f"{files[0].name} names classes" if has_names(files[0]) else files[0].name
    if (path / DARKNET).is_file():
        return DARKNET
    listed = find_class_list(path)
    return f"{listed.relative_to(path)} beside labels" if listed and has_labels(path) else ""
