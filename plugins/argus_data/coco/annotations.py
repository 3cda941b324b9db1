"""One COCO annotation file as columns, with all faults in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError, Fault
from argus_data.coco.values import Texts, misread, plain_id, whole_number
from argus_data.files.local_names import is_possible

Size = tuple[int, int]
TOLERANCE = 0.5
"""Pixels by which rounding may move a box out of its image."""


@dataclass(frozen=True)
class Category:
    """An entry of the file's ``categories``; ``parent`` is its supercategory, empty if it has none."""

    id: int
    name: str
    parent: str


@dataclass(frozen=True)
class CocoFile:
    """Images in the file's order; the annotations of image i are the rows ``starts[i]`` to ``starts[i + 1]``."""

    names: tuple[str, ...]
    sizes: tuple[Size | None, ...]  # height, width
    categories: tuple[Category, ...]  # by rising id
    used: frozenset[Category]  # those with an annotation anywhere in the file
    annotated: bool  # whether the file has a list of annotations, even an empty one
    starts: npt.NDArray[np.int64]  # (images + 1,)
    boxes: npt.NDArray[np.float64]  # (rows, 4) x1, y1, x2, y2 pixels, clipped to the image
    category: npt.NDArray[np.int64]  # (rows,) into ``categories``
    crowd: npt.NDArray[np.bool_]  # (rows,)
    difficult: npt.NDArray[np.bool_]  # (rows,) need not be found; COCO itself has no such flag
    area: npt.NDArray[np.float64]  # (rows,) square pixels: the mask's where annotated, else the box's
    faults: tuple[Fault, ...]


def read_coco(file: Path, limit: int = 0) -> CocoFile:
    """Parse ``file`` and keep its first ``limit`` images (0: all); raises ArgusError if it is not COCO."""
    return coco_columns(file, _load(file), limit)


def coco_columns(file: PurePath, content: Mapping[str, Any], limit: int = 0) -> CocoFile:
    """The columns of what a COCO file holds, or would hold; ``file`` is what messages call it."""
    faults: list[Fault] = []
    images = _images(file, content["images"], faults)
    categories = _categories(file, content.get("categories", []))
    texts = Texts(file.name)
    table = _Annotations(file.name, images, categories, faults, texts).read(content.get("annotations", []))
    faults += texts.faults()
    names, sizes = zip(*list(images.values())[: limit or None], strict=True) if images else ((), ())
    table = table[np.argsort(table[:, 0], kind="stable")]
    starts = np.searchsorted(table[:, 0], np.arange(len(names) + 1))
    kept = table[: starts[-1]]
    return CocoFile(
        names=names,
        sizes=sizes,
        categories=categories,
        used=frozenset(categories[int(row)] for row in np.unique(table[:, 1])),
        annotated="annotations" in content,
        starts=starts.astype(np.int64),
        boxes=kept[:, 2:6].copy(),
        category=kept[:, 1].astype(np.int64),
        crowd=kept[:, 6] != 0,
        difficult=kept[:, 8] != 0,
        area=kept[:, 7].copy(),
        faults=tuple(faults),
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            content = json.load(stream, object_hook=_without_outlines)
    except (OSError, ValueError) as error:
        raise ArgusError(f"{file}: not readable as JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise ArgusError(f"{file}: not a COCO file: it has no list of images")
    for key in ("annotations", "categories"):
        if not isinstance(content.get(key, []), list):
            raise ArgusError(f"{file}: not a COCO file: {key!r} is not a list")
    return content


def _without_outlines(values: dict[str, Any]) -> dict[str, Any]:
    # Polygons and RLE are most of a file's memory, and boxes need only the area beside them.
    values.pop("segmentation", None)
    return values


def _images(file: PurePath, entries: list[Any], faults: list[Fault]) -> dict[Any, tuple[str, Size | None]]:
    """File name and size by image id, in the file's order."""
    images: dict[Any, tuple[str, Size | None]] = {}
    names: set[str] = set()
    unusable = partial(Fault, dropped=True, kind="entries of images that cannot be used", total=len(entries))
    for position, entry in enumerate(entries):
        key, name = (entry.get("id"), entry.get("file_name")) if isinstance(entry, dict) else (None, None)
        where = f"{file.name}, image {name or f'number {position}'}"
        if not isinstance(key, int | float | str) or not isinstance(name, str):
            faults.append(unusable(where, "it needs an id and a file_name"))
        elif not is_possible(name):
            faults.append(unusable(where, f"no file can be called {name!r} here"))
        elif key in images:
            faults.append(unusable(where, f"its id {key} belongs to {images[key][0]} already"))
        elif name in names:
            faults.append(unusable(where, f"it is listed twice, again with id {key}"))
        else:
            values = entry.get("height"), entry.get("width")
            height, width = map(whole_number, values)
            if not (height and width):
                kind = "images whose height and width are not positive whole numbers"
                faults.append(Fault(where, f"height and width {values} are not positive whole numbers", kind=kind))
            images[key] = (name, (height, width) if height and width else None)
            names.add(name)
    return images


def _categories(file: PurePath, entries: list[Any]) -> tuple[Category, ...]:
    for entry in entries:
        if not (isinstance(entry, dict) and isinstance(entry.get("id"), int) and entry.get("name")):
            raise ArgusError(f"{file}: category {entry} needs a whole number as id and a name")
    categories = [Category(e["id"], str(e["name"]), _parent(e.get("supercategory"))) for e in entries]
    categories.sort(key=lambda category: category.id)
    for first, second in pairwise(categories):
        if first.id == second.id:
            raise ArgusError(f"{file}: categories {first.name!r} and {second.name!r} both have id {first.id}")
    return tuple(categories)


def _parent(supercategory: Any) -> str:
    return "" if supercategory in (None, "", "none") else str(supercategory)


class _Annotations:
    """Turns annotations into rows of image, category, x1, y1, x2, y2, crowd, area, difficult."""

    def __init__(
        self,
        file: str,
        images: dict[Any, tuple[str, Size | None]],
        categories: tuple[Category, ...],
        faults: list[Fault],
        texts: Texts,
    ) -> None:
        self.file, self.texts = file, texts
        self.names = [name for name, _ in images.values()]
        self.sizes = np.array([size or (np.inf, np.inf) for _, size in images.values()]).reshape(-1, 2)
        self.images = {key: row for row, key in enumerate(images)}
        self.categories = {category.id: row for row, category in enumerate(categories)}
        self.alike = {plain_id(key): row for key, row in self.images.items()}
        if len(self.alike) < len(self.images):  # here 1 and "01" are two images
            self.alike = {}
        self.faults, self.total = faults, 0

    def read(self, entries: list[Any]) -> npt.NDArray[np.float64]:
        """The usable annotations (rows, 9); faults are recorded."""
        rows, ids, seen, self.total = [], [], set(), len(entries)
        for entry in entries:
            if not isinstance(entry, dict):
                self._drop("?", "annotations that are no objects", f"{entry!r} is not an object")
                continue
            number = str(entry.get("id"))
            if "id" in entry and number in seen:
                self._fault(number, "annotations whose id is used before", "its id is used twice")
            seen.add(number)
            if row := self._row(entry, number):
                rows.append(row)
                ids.append(number)
        table = np.array(rows, dtype=np.float64).reshape(-1, 9)
        limits = self.sizes[table[:, 0].astype(np.int64)][:, [1, 0]]
        self.faults += misread(self.file, table[:, 2:6], limits)
        return self._clipped(table, ids)

    def _row(self, entry: dict[str, Any], number: str) -> tuple[float, ...] | None:
        image, category = self._image(entry, number), self._category(entry, number)
        if image is None:
            self._drop(number, "annotations of unknown images", f"its image id {entry.get('image_id')!r} is unknown")
        elif category is None:
            what = f"its category id {entry.get('category_id')!r} is unknown"
            self._drop(number, "annotations of unknown categories", what)
        elif box := self._box(entry, number):
            x, y, width, height = box
            area = self._area(entry, number, width * height)
            crowd, difficult = (self.texts.flag(entry, field, number) for field in ("iscrowd", "difficult"))
            return image, category, x, y, x + width, y + height, crowd, area, difficult
        return None

    def _image(self, entry: dict[str, Any], number: str) -> int | None:
        """The row of the annotation's image; if one id is a number and the other text, they are compared as numbers."""
        key = entry.get("image_id")
        if not isinstance(key, int | float | str):
            return None
        row = self.images.get(key)
        if row is None and (row := self.alike.get(plain_id(key))) is not None:
            self.texts.note("image_id", key, number)
        return row

    def _category(self, entry: dict[str, Any], number: str) -> int | None:
        key = self.texts.number(entry, "category_id", number)
        return None if key is None else self.categories.get(key)  # type: ignore[call-overload]

    def _box(self, entry: dict[str, Any], number: str) -> list[float] | None:
        """The annotation's box x, y, width, height; None, with a fault, if it has no usable one."""
        value = entry.get("bbox")
        box = value if isinstance(value, list) else []
        if len(box) != 4 or not all(type(side) in (int, float) for side in box):
            self._drop(number, "annotations whose box is not four numbers", f"its box {value} is not four numbers")
        elif not all(abs(side) < np.inf for side in box):
            self._drop(number, "annotations whose box is not finite", f"its box {value} is not finite")
        elif box[2] <= 0 or box[3] <= 0:
            self._drop(number, "boxes without area", f"its box {value} has no area")
        else:
            return box
        return None

    def _area(self, entry: dict[str, Any], number: str, box: float) -> float:
        area = self.texts.number(entry, "area", number) if "area" in entry else box
        if area is not None and 0 < area < np.inf:
            return area
        kind = "annotations whose area is replaced by the box's"
        self._fault(number, kind, f"its area {entry['area']} is replaced by the box's")
        return box

    def _clipped(self, table: npt.NDArray[np.float64], ids: list[str]) -> npt.NDArray[np.float64]:
        """The rows with boxes clipped to their images, without those that lie outside."""
        limit = self.sizes[table[:, 0].astype(np.int64)][:, [1, 0, 1, 0]]
        boxes = table[:, 2:6].copy()
        table[:, 2:6] = np.clip(boxes, 0.0, limit)
        inside = (table[:, 4] > table[:, 2]) & (table[:, 5] > table[:, 3])
        for row in np.flatnonzero(np.abs(boxes - table[:, 2:6]).max(axis=1, initial=0.0) > TOLERANCE):
            image, corners = self.names[int(table[row, 0])], [round(v, 2) for v in boxes[row].tolist()]
            place = f"its box from {corners[:2]} to {corners[2:]}"
            if inside[row]:
                self._fault(ids[row], "boxes that leave their image", f"{place} leaves {image}")
            else:
                self._drop(ids[row], "boxes outside their image", f"{place} lies outside {image}")
        return table[inside]

    def _drop(self, number: str, kind: str, what: str) -> None:
        """Record that an annotation is left out; if many are, results would be wrong."""
        self.faults.append(Fault(f"{self.file}, annotation {number}", what, True, kind, total=self.total))

    def _fault(self, number: str, kind: str, what: str) -> None:
        self.faults.append(Fault(f"{self.file}, annotation {number}", what, kind=kind))
