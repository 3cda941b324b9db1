"""Objects in the rows of a table as boxes, checked against their images like those of a COCO file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from argus_core.errors import Fault
from argus_data.coco.annotations import CocoFile, coco_columns
from argus_data.files.images import Layer
from argus_data.hf.columns import ObjectFields
from argus_data.layers.box_forms import Form, check_form, corners
from argus_data.layers.boxes import boxes_digest

if TYPE_CHECKING:
    from datasets import Dataset

    from argus_core.tasks.detect import Boxes, Detect

Size = tuple[int, int]
Objects = Mapping[str, list[Any]]
"""The fields of all objects in a row, by the names of the fields."""
Entry = dict[str, Any]
"""An annotation in COCO's words."""


class BoxLayer(Layer):
    """The boxes of each image, by the columns of a COCO file."""

    def __init__(self, content: CocoFile, classes: Sequence[str]) -> None:
        self.content, self.classes = content, tuple(classes)

    @property
    def task(self) -> Detect:
        """Detection of the layer's classes."""
        from argus_core.tasks.detect import Detect

        return Detect(classes=self.classes)

    def truth(self, sample: int) -> Boxes:
        """The boxes of an image."""
        from argus_core.tasks.detect import Boxes

        content = self.content
        rows = slice(content.starts[sample], content.starts[sample + 1])
        boxes, labels, crowd = content.boxes[rows], content.category[rows], content.crowd[rows]
        return Boxes(boxes, labels, crowd, content.area[rows], content.difficult[rows])

    def digest(self) -> str:
        """sha256 (hex) over classes, keys and boxes, like that of a COCO file that says the same."""
        names = self.content.names
        return boxes_digest(self.classes, names, (self.truth(sample) for sample in range(len(names))))

    def faults(self) -> list[Fault]:
        """Objects that cannot be used, or not as they are."""
        return list(self.content.faults)


def read_objects(table: Dataset, fields: ObjectFields) -> list[Objects | None]:
    """The fields of the objects in every row; None where there is no list of them, not even an empty one."""
    names = [name for name in (fields.box, fields.category, fields.area, fields.crowd, fields.difficult) if name]
    if fields.column:
        return [row for chunk in table.data.column(fields.column).chunks for row in _rows(chunk, names)]
    columns = [table.data.column(name).to_pylist() for name in names]
    return [_objects(names, values) for values in zip(*columns, strict=True)]


def _rows(chunk: Any, names: Sequence[str]) -> Iterator[Objects | None]:
    """The rows of an Arrow array: a structure of lists, or a list of structures."""
    if not hasattr(chunk, "value_lengths"):
        columns = [chunk.is_valid().to_pylist(), *(chunk.field(name).to_pylist() for name in names)]
        for is_valid, *values in zip(*columns, strict=True):
            yield _objects(names, values) if is_valid else None
        return
    flat, first = chunk.flatten(), 0
    fields = {name: flat.field(name).to_pylist() for name in names}
    for length in chunk.value_lengths().to_pylist():
        last = first + (length or 0)
        yield None if length is None else {name: values[first:last] for name, values in fields.items()}
        first = last


def _objects(names: Sequence[str], values: Sequence[list[Any] | None]) -> Objects | None:
    """None if no field of the row has a list."""
    if all(value is None for value in values):
        return None
    return {name: value or [] for name, value in zip(names, values, strict=True)}


def entries_of(
    split: str, rows: Mapping[int, Objects | None], fields: ObjectFields, labels: Mapping[Any, int]
) -> tuple[list[Entry], list[Fault]]:
    """The objects of ``rows``, by their numbers in the table, as annotations of the images 0, 1, ...; and faults.

    ``labels`` gives the class of a value; a value without a class stays, and is a fault of whoever reads the entries.
    """
    entries: list[Entry] = []
    faults: list[Fault] = []
    others = {"area": fields.area, "iscrowd": fields.crowd, "difficult": fields.difficult}
    for image, (row, objects) in enumerate(rows.items()):
        if objects is None:
            continue
        boxes, categories = objects[fields.box], objects[fields.category]
        if len(boxes) != len(categories):
            what = f"it has {len(boxes)} boxes and {len(categories)} classes"
            kind = "rows whose boxes and classes differ in number"
            faults.append(Fault(f"{split}, row {row}", what, dropped=True, kind=kind, total=len(rows)))
            continue
        for number, (box, category) in enumerate(zip(boxes, categories, strict=True)):
            values = {
                key: objects[name][number] for key, name in others.items() if name and _has(objects, name, number)
            }
            entries.append({**_entry(row, number, image, box), "category_id": labels.get(category, category), **values})
    return entries, faults


def _has(objects: Objects, name: str, number: int) -> bool:
    return number < len(objects[name]) and objects[name][number] is not None


def _entry(row: int, number: int, image: int, box: Any) -> Entry:
    return {"id": f"{row}.{number}", "image_id": image, "bbox": list(box) if isinstance(box, Sequence) else box}


def box_layer(
    split: str,
    keys: Sequence[str],
    sizes: Sequence[Size | None],
    entries: Sequence[Entry],
    faults: Iterable[Fault],
    classes: Sequence[str],
    form: Form | None,
) -> BoxLayer:
    """The layer of the images ``keys`` with the sizes (height, width) that are known.

    Raises ArgusError if ``form`` is None, which means x, y, width, height, and the boxes have another one.
    """
    _as_xywh(split, entries, sizes, form)
    images = [
        {"id": image, "file_name": key, "height": (size or (None,))[0], "width": (size or (None,))[-1]}
        for image, (key, size) in enumerate(zip(keys, sizes, strict=True))
    ]
    categories = [{"id": label, "name": name} for label, name in enumerate(classes)]
    content = {"images": images, "annotations": entries, "categories": categories}
    columns = coco_columns(PurePath(split), content)
    return BoxLayer(replace(columns, faults=(*faults, *columns.faults)), classes)


def _as_xywh(split: str, entries: Sequence[Entry], sizes: Sequence[Size | None], form: Form | None) -> None:
    """Write the usable boxes of ``entries`` as x, y, width, height in pixels, where they are not."""
    usable = [entry for entry in entries if _is_box(entry["bbox"]) and sizes[entry["image_id"]]]
    values = np.array([entry["bbox"] for entry in usable], dtype=np.float64).reshape(-1, 4)
    sides = np.array([sizes[entry["image_id"]] for entry in usable], dtype=np.float64).reshape(-1, 2)[:, ::-1]
    if form is None:
        check_form(split, values, sides, "xywh", "boxes")
    elif form != "xywh":
        found = corners(values, form, sides)
        found[:, 2:] -= found[:, :2]
        for entry, box in zip(usable, found.tolist(), strict=True):
            entry["bbox"] = box


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, (int, float)) and isfinite(side) for side in box)
    )
