"""What the rows of one split hold: which of them can be used, their labels and objects, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_core.errors import ArgusError, Fault
from argus_core.image import read_size
from argus_data.coco.values import whole_number
from argus_data.hf.cells import Cell, ImageColumn
from argus_data.hf.columns import Columns, class_names
from argus_data.hf.objects import Objects, read_objects

if TYPE_CHECKING:
    from datasets import Dataset

Size = tuple[int, int]
UNKNOWN = -1
"""A class that says there is none, as in published test sets."""


@dataclass
class Rows:
    """The rows of one split, read without their images; ``faults`` and ``notes`` grow as they are looked through."""

    split: str
    table: Dataset
    columns: Columns
    root: Path
    numbers: Sequence[int]
    """The rows of the table that belong to the split."""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def images(self) -> ImageColumn:
        """The photographs."""
        return self._pictures(self.columns.image)

    @cached_property
    def maps(self) -> dict[str, ImageColumn]:
        """The columns of masks and depth maps that hold any, by what messages call one."""
        found = {noun: self._pictures(name) for noun, name in self.columns.pictures.items()}
        return {noun: column for noun, column in found.items() if self._any(noun, len(column.missing()))}

    @cached_property
    def labels(self) -> list[str | None] | None:
        """The name of the class in every row, None in rows without one; None where no row has one."""
        name = self.columns.label
        if not name:
            return None
        feature, values = self.table.features[name], self.table.data.column(name).to_pylist()
        names = class_names(feature)
        labels = [self._label(row, value, names) for row, value in enumerate(values)]
        return labels if self._any("label", labels.count(None)) else None

    @property
    def has_named_classes(self) -> bool:
        """Whether the column of labels says which classes there are."""
        return bool(class_names(self.table.features.get(self.columns.label)))

    @cached_property
    def objects(self) -> list[Objects | None] | None:
        """The objects in every row, None in rows without even an empty list; None where no row has a list."""
        if not self.columns.objects:
            return None
        objects = read_objects(self.table, self.columns.objects)
        return objects if self._any("list of objects", objects.count(None)) else None

    def usable(self) -> list[int]:
        """The rows with an image and every annotation that other rows have; the others are faults."""
        without: dict[str, Iterable[int]] = {"image": self.images.missing()}
        without |= {noun: column.missing() for noun, column in self.maps.items()}
        if self.labels is not None:
            without["label"] = [row for row, label in enumerate(self.labels) if label is None]
        lost = {row: noun for noun, rows in without.items() for row in rows}
        own = [row for row in self.numbers if row in lost]
        self.faults += [self._lost(row, f"it has no {lost[row]}", f"rows that have no {lost[row]}") for row in own]
        kept = [row for row in self.numbers if row not in lost]
        if not kept:
            raise ArgusError(f"split {self.split!r}: none of {len(self.numbers)} rows is complete; {self.faults[0]}")
        return kept

    def stated_sizes(self, rows: Sequence[int]) -> list[Size | None]:
        """Height and width by the columns of these names, None where they give none."""
        if not {"height", "width"} <= set(self.table.column_names):
            return [None] * len(rows)
        columns = (self.table.data.column(name) for name in ("height", "width"))
        sizes = [tuple(map(whole_number, pair)) for pair in zip(*(c.to_pylist() for c in columns), strict=True)]
        return [(size[0], size[1]) if all(size := sizes[row]) else None for row in rows]

    def sizes(self, rows: Sequence[int]) -> list[Size | None]:
        """Height and width as stated, else of the upright image; None where it cannot be read."""
        return [size or _size(Cell(self.images, row)) for size, row in zip(self.stated_sizes(rows), rows, strict=True)]

    def objectless(self, rows: Sequence[int]) -> list[Fault]:
        """A fault for rows whose objects are missing, where others have them."""
        missing = [row for row in rows if self.objects is not None and self.objects[row] is None]
        what = "it has no list of objects; it is taken as an image without any"
        kind = "rows without a list of objects"
        return [Fault(f"{self.split}, row {row}", what, kind=kind, total=len(rows)) for row in missing]

    def _label(self, row: int, value: Any, names: Sequence[str]) -> str | None:
        if value is None or not str(value).strip() or (names and value == UNKNOWN):
            return None
        if not names:
            return str(value)
        if 0 <= value < len(names):
            return names[value]
        if row in self.numbers:
            what = f"its label {value} is not the index of one of {len(names)} classes"
            self.faults.append(self._lost(row, what, "labels beyond the classes"))
        return None

    def _lost(self, row: int, what: str, kind: str) -> Fault:
        return Fault(f"{self.split}, row {row}", what, dropped=True, kind=kind, total=len(self.numbers))

    def _any(self, noun: str, missing: int) -> bool:
        """Whether some rows have the annotation; if none has, that is noted once."""
        if missing < self.table.num_rows:
            return True
        self.notes.append(f"none of {self.table.num_rows} rows has a {noun}")
        return False

    def _pictures(self, name: str) -> ImageColumn:
        return ImageColumn(self.table, name, self.split, self.root)


def _size(cell: Cell) -> Size | None:
    try:
        return read_size(cell)
    except ArgusError:  # whoever reads the image reports it
        return None


def all_values(rows: Mapping[str, Rows]) -> list[Any]:
    """The classes that objects of all splits give, each once, in the order in which they appear."""
    found: dict[Any, None] = {}
    for part in rows.values():
        fields = part.columns.objects
        for objects in part.objects or [] if fields else []:
            found |= dict.fromkeys(objects[fields.category] if objects and fields else [])
    return list(found)
