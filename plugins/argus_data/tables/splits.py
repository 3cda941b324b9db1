"""Splits of the rows of a table: images with a class each, or with boxes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError, Fault
from argus_core.image import read_size
from argus_data.coco.annotations import coco_columns
from argus_data.coco.split import CocoSplit
from argus_data.coco.values import whole_number
from argus_data.files.images import ImageFile, ImageSplit
from argus_data.files.local_names import spelt_on_disk
from argus_data.layers.labels import LabelLayer, evenly, own_labels
from argus_data.tables.table_file import BOX, Row, Table


@dataclass(frozen=True)
class Part:
    """The rows of a split with the images that they name, which lie below ``folder``."""

    name: str
    table: Table
    folder: Path
    rows: list[tuple[str, Row]]
    faults: list[Fault]

    def fault(self, row: Row, what: str, kind: str, *, dropped: bool = False) -> Fault:
        """A fault of one row; what is left out counts against all rows."""
        where = f"{self.name}, {self.table.file.name}, line {row.line}"
        return Fault(where, what, dropped, kind, total=len(self.rows) if dropped else 0)


def class_split(part: Part, classes: Sequence[str], limit: int) -> ImageSplit:
    """Images with a class each; those that have none, or several, are left out."""
    found: dict[str, str] = {}
    for key, row in part.rows:
        found[key] = found.get(key) or row.cells["label"]
    several = {key for key, row in part.rows if row.cells["label"] not in ("", found[key])}
    index = {name: number for number, name in enumerate(classes)}
    labels = {key: index[label] for key, label in found.items() if label and key not in several}
    names, numbers = list(labels), list(labels.values())
    kept = evenly(numbers, limit)
    files = [ImageFile(names[n], spelt_on_disk(part.folder, names[n])) for n in kept]
    faults = [
        *part.faults,
        *own_labels(f"{part.name}, {part.table.file.name}", len(part.rows), len(classes)),
        *_class_faults(part, found),
    ]
    return ImageSplit(part.name, files, [LabelLayer(classes, [numbers[n] for n in kept])], (), faults)


def _class_faults(part: Part, found: Mapping[str, str]) -> Iterator[Fault]:
    """Rows without a class, with another one than ``found`` gives their image, and rows that say what was said."""
    seen: set[str] = set()
    for key, row in part.rows:
        label = row.cells["label"]
        if label not in ("", found[key]):
            what = f"{key} is {label!r} here and {found[key]!r} before; an image has one class"
            yield part.fault(row, what, "images with several classes", dropped=True)
        elif key in seen:
            yield part.fault(row, f"{key} is listed before", "rows that repeat another one")
        elif not label:
            yield part.fault(row, f"{key} has no class", "rows without a class", dropped=True)
        seen.add(key)


def box_split(part: Part, classes: Sequence[str], limit: int) -> CocoSplit:
    """Images with the boxes of all their rows; a row with neither a box nor a class says that there are none."""
    faults = list(part.faults)
    images = _images(part, faults)
    numbers = {name: number for number, name in enumerate(classes, 1)}
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
    return CocoSplit(part.name, [part.folder], replace(columns, faults=(*faults, *columns.faults)), tuple(classes))


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
