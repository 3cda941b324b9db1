"""Splits of the rows of a table: images with a class each, or with boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError, Fault
from argus_core.image import read_size
from argus_data.coco.annotations import Category, coco_columns
from argus_data.coco.split import CocoSplit
from argus_data.coco.values import whole_number
from argus_data.files.images import ImageFile, ImageSplit
from argus_data.files.local_names import spelt_on_disk
from argus_data.layers.labels import LabelLayer, evenly, own_labels
from argus_data.tables.table_file import BOX, Row, Table


@dataclass(frozen=True)
class Part:
    """The rows of a split with the images they name, which lie below ``folder``; ``total`` has the lost ones too."""

    name: str
    table: Table
    folder: Path
    rows: list[tuple[str, Row]]
    total: int
    faults: list[Fault]

    @property
    def labelled(self) -> bool:
        """Whether the rows say anything of their images; those of a published test set do not."""
        boxes = self.table.has_boxes and "label" in self.table.columns
        return boxes or self.name in ("train", "all") or any(row.cells["label"] for _, row in self.rows)

    def fault(self, row: Row, what: str, kind: str, *, dropped: bool = False) -> Fault:
        """A fault of one row; what is left out counts against all rows."""
        return row_fault(self.name, self.table, row, what, kind, total=self.total if dropped else 0)


def row_fault(split: str, table: Table, row: Row, what: str, kind: str, *, total: int) -> Fault:
    """A fault of one row, which is left out of ``total`` unless that is 0."""
    return Fault(f"{split}, {table.file.name}, {table.unit} {row.line}", what, total > 0, kind, total=total)


class BareSplit(ImageSplit):
    """Images of a table that gives them no classes."""

    def __init__(self, part: Part, limit: int) -> None:
        keys = list(dict.fromkeys(key for key, _ in part.rows))[: limit or None]
        super().__init__(part.name, _files(part, keys), (), (), part.faults)
        self._remark = f"{part.table.file.name} gives no image of it a class; it is opened without labels"

    def remarks(self) -> list[str]:
        """That there are no classes."""
        return [self._remark]


def _files(part: Part, keys: Iterable[str]) -> list[ImageFile]:
    return [ImageFile(key, spelt_on_disk(part.folder, key)) for key in keys]


class ClassRows:
    """Images with a class each; those that have none, or several, are left out."""

    def __init__(self, part: Part, limit: int) -> None:
        self.part, self.limit = part, limit
        self._first: dict[str, str] = {}
        for key, row in part.rows:
            self._first[key] = self._first.get(key) or row.cells["label"]
        several = {key for key, row in part.rows if row.cells["label"] not in ("", self._first[key])}
        self._labels = {key: label for key, label in self._first.items() if label and key not in several}

    @property
    def labels(self) -> set[str]:
        """The classes of the images that are used."""
        return set(self._labels.values())

    def split(self, classes: Sequence[str]) -> ImageSplit:
        """The images, as many of each class as can be, with their places in ``classes``."""
        part, index = self.part, {name: number for number, name in enumerate(classes)}
        names, numbers = list(self._labels), [index[label] for label in self._labels.values()]
        kept = evenly(numbers, self.limit)
        faults = [
            *part.faults,
            *own_labels(f"{part.name}, {part.table.file.name}", len(part.rows), len(classes)),
            *_class_faults(part, self._first),
        ]
        layer = LabelLayer(classes, [numbers[n] for n in kept])
        return ImageSplit(part.name, _files(part, [names[n] for n in kept]), [layer], (), faults)


def _class_faults(part: Part, first: Mapping[str, str]) -> Iterator[Fault]:
    """Rows without a class, with another one than the first of their image, and rows that say what was said."""
    seen: set[str] = set()
    for key, row in part.rows:
        label = row.cells["label"]
        if not label:
            yield part.fault(row, f"{key} has no class", "rows without a class", dropped=True)
        elif label != first[key]:
            what = f"{key} is {label!r} here and {first[key]!r} before; an image has one class"
            yield part.fault(row, what, "images with several classes", dropped=True)
        elif key in seen:
            yield part.fault(row, f"{key} is listed before", "rows that repeat another one")
        if label:
            seen.add(key)


class BoxRows:
    """Images with the boxes of all their rows; a row with neither a box nor a class says that there are none."""

    def __init__(self, part: Part, limit: int) -> None:
        self.part, faults = part, list(part.faults)
        images = _images(part, faults)
        self._own = sorted({row.cells["label"] for _, row in part.rows if row.cells["label"]})
        numbers = {name: number for number, name in enumerate(self._own)}
        objects = []
        for key, row in part.rows:
            label = row.cells["label"]
            if label:
                entry = {"id": f"in line {row.line}", "image_id": images[key]["id"], "bbox": _box(row)}
                objects.append(entry | {"category_id": numbers[label]})
            elif any(row.cells[side] for side in BOX):
                faults.append(part.fault(row, f"its box in {key} has no class", "boxes without a class", dropped=True))
        categories = [{"id": number, "name": name} for name, number in numbers.items()]
        content = {"images": list(images.values()), "annotations": objects, "categories": categories}
        columns = coco_columns(part.table.file, content, limit)
        faults += [replace(fault, where=f"{part.name}, {fault.where}") for fault in columns.faults]
        self._columns = replace(columns, faults=tuple(faults))

    @property
    def labels(self) -> set[str]:
        """The classes of the boxes that are used."""
        return {category.name for category in self._columns.used}

    def split(self, classes: Sequence[str]) -> CocoSplit:
        """The images with their boxes, whose categories are numbered as ``classes`` are, from 1."""
        ids = {name: number for number, name in enumerate(dict.fromkeys((*classes, *self._own)), 1)}
        categories = tuple(Category(ids[name], name, "") for name in dict.fromkeys((*self._own, *classes)))
        columns = replace(self._columns, categories=categories)
        return CocoSplit(self.part.name, [self.part.folder], columns, tuple(classes))


def _images(part: Part, faults: list[Fault]) -> dict[str, dict[str, Any]]:
    """The images of a table as entries of a COCO file, with the sizes that the table gives, or their own."""
    images: dict[str, dict[str, Any]] = {}
    for key, row in part.rows:
        height, width = (whole_number(row.cells.get(side)) for side in ("height", "width"))
        image = images.setdefault(key, {"id": len(images), "file_name": key, "height": height, "width": width})
        if (height, width) != (image["height"], image["width"]):
            what = f"it says that {key} is {height}x{width}, an earlier one {image['height']}x{image['width']}"
            faults.append(part.fault(row, what, "rows that give an image another size"))
    _add_sizes(part.folder, images.values())
    return images


def _add_sizes(folder: Path, images: Iterable[dict[str, Any]]) -> None:
    """The sizes of images where the table gives none; one that cannot be read has none."""
    for image in images:
        if not (image["height"] and image["width"]):
            with contextlib.suppress(ArgusError):  # whoever reads the image reports it
                image["height"], image["width"] = read_size(spelt_on_disk(folder, image["file_name"]))


def _box(row: Row) -> list[float | str]:
    """A row's box as x, y, width, height; its texts where they are not numbers."""
    try:
        x1, y1, x2, y2 = (float(row.cells[side]) for side in BOX)
    except ValueError:
        return [row.cells[side] for side in BOX]
    return [x1, y1, x2 - x1, y2 - y1]
