"""Clicks in a table or a JSON file: points of images, each with a class, as a data set of masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from argus_core.common.files import read_json
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault
from argus_core.image import read_size
from argus_data.files.images import ImageFile, ImageSplit, data_root
from argus_data.files.local_names import spelt_on_disk
from argus_data.layers.clicks import ClickLayer
from argus_data.tables.data_set import CLICKS, parts_of, sorted_classes
from argus_data.tables.splits import Part
from argus_data.tables.table_file import Row, Table, read_table

FILES = (CLICKS, "clicks.json")
FIELDS = ("image", "x", "y", "label")
EXAMPLE = '{"clicks": [{"image": "a.jpg", "x": 120, "y": 64, "label": "cup"}, ...]}'


def open_clicks(
    path: str | Path, *, columns: str = "", images: str = "", radius: float = 0.0, limit: int = 0
) -> dict[str, Split]:
    """Masks of the clicks in a CSV or JSON file, or in a folder's clicks.csv or clicks.json.

    A row gives an image, x and y in its pixels, and a label; a column ``split`` may divide them. A JSON file holds
    {"clicks": [{"image", "x", "y", "label"}, ...]}, and may give "classes" an order. The pixels within ``radius`` px of
    a click have its class, all others none; 0 is a fortieth of the longer side. Images lie below the file, or in the
    folder ``images`` beside it; ``limit`` keeps the first of every split.
    """
    file = click_file(data_root(path, limit))
    if radius < 0:
        raise ArgusError(f"option radius={radius:g} must be pixels, or 0 for a fortieth of the longer side")
    table, order = _read_json(file) if file.suffix.lower() == ".json" else (read_table(file, columns), ())
    if missing := [name for name in FIELDS if name not in table.columns]:
        raise ArgusError(f"{file} has no column {' and '.join(missing)}; clicks have the columns {', '.join(FIELDS)}")
    parts = [_Clicks(part, limit) for part in parts_of("all", table, images)]
    classes = list(order) or sorted_classes({label for part in parts for label in part.labels})
    if strange := sorted({label for part in parts for label in part.labels} - set(classes)):
        raise ArgusError(f'{file}: label {strange[0]!r} is not in "classes", which are {", ".join(classes)}')
    if not classes:
        first = parts[0].faults[0] if parts else f"{table.unit} {table.rows[0].line}: {table.rows[0].what}"
        raise ArgusError(f"{file}: no click can be used; {first}")
    if len(classes) == 1 and not any(part.faults for part in parts):
        raise ArgusError(f"{file}: all clicks are {classes[0]!r}; mark something else as well")
    return {part.name: part.split(classes, radius) for part in parts}


def click_file(path: Path) -> Path:
    """The file of clicks at or in a path; raises ArgusError where there is none, or more than one."""
    if path.is_file():
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if len(found) != 1:
        what = f"holds {' and '.join(FILES)}; give one" if found else f"holds neither {' nor '.join(FILES)}"
        raise ArgusError(f"{path} {what}, as in clicks:{path / FILES[0]}")
    return found[0]


def click_layout(path: Path) -> str:
    """By what a path is known as a data set of clicks."""
    if path.is_file():
        return f"it is called {path.name}" if path.name in FILES else ""
    return " and ".join(name for name in FILES if (path / name).is_file())


def _read_json(file: Path) -> tuple[Table, Sequence[str]]:
    """The clicks of a file as rows, counted from 1, and the order of classes, if it gives one."""
    content = read_json(file, f"write {EXAMPLE}")
    clicks, classes = (content.get(key) if isinstance(content, dict) else None for key in ("clicks", "classes"))
    if not isinstance(clicks, list) or not clicks or not all(isinstance(click, dict) for click in clicks):
        raise ArgusError(f"{file} holds no list of clicks; write {EXAMPLE}")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise ArgusError(f'{file}: "classes" are no list of names; correct it, or leave it out')
    rows = [_row(number, click) for number, click in enumerate(clicks, 1)]
    return Table(file, frozenset(key for click in clicks for key in click), rows, "click"), classes or ()


def _row(number: int, click: Mapping[str, Any]) -> Row:
    if lacking := [name for name in FIELDS if click.get(name) in (None, "")]:
        return Row(number, {}, f"it has no {' and no '.join(lacking)}", "clicks that lack something")
    return Row(number, {name: str(click[name]).strip() for name in {*FIELDS, "split"} & click.keys()})


class _Clicks:
    """The clicks of a split by image, and the faults of those that are left out."""

    def __init__(self, part: Part, limit: int) -> None:
        self.name, self._part, self.faults = part.name, part, list(part.faults)
        self._sizes: dict[str, tuple[int, int] | None] = {}
        self._clicks: dict[str, list[tuple[float, float, str]]] = {}
        for key, row in part.rows:
            if what := self._fault(key, row):
                self.faults.append(part.fault(row, what, "clicks that cannot be used", dropped=True))
            else:
                click = float(row.cells["x"]), float(row.cells["y"]), row.cells["label"]
                self._clicks.setdefault(key, []).append(click)
        self.faults += self._contradictions()
        self._clicks = dict([*self._clicks.items()][: limit or None])

    @property
    def labels(self) -> set[str]:
        """The classes of the clicks."""
        return {label for clicks in self._clicks.values() for *_, label in clicks}

    def split(self, classes: Sequence[str], radius: float) -> ImageSplit:
        """The images that have clicks, with masks."""
        from argus_core.tasks.segment import Click

        files = [ImageFile(key, spelt_on_disk(self._part.folder, key)) for key in self._clicks]
        index = {name: number for number, name in enumerate(classes)}
        clicks = [[Click(x, y, index[label]) for x, y, label in clicks] for clicks in self._clicks.values()]
        layer = ClickLayer([file.path for file in files], clicks, classes, radius)
        return ImageSplit(self.name, files, [layer], (), self.faults)

    def _fault(self, key: str, row: Row) -> str:
        """Why a row is no click in its image; empty if it is one."""
        if not row.cells["label"]:
            return f"its click in {key} has no class"
        try:
            x, y = float(row.cells["x"]), float(row.cells["y"])
        except ValueError:
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            return f"x={row.cells['x']}, y={row.cells['y']} is no point in pixels"
        size = self._size(key)
        if size is None or (0 <= x <= size[1] and 0 <= y <= size[0]):
            return ""
        return f"the click {x:g},{y:g} lies outside {key}, which is {size[1]} wide and {size[0]} high"

    def _size(self, key: str) -> tuple[int, int] | None:
        """Height and width of an image; None for one that cannot be read, which whoever reads it reports."""
        if key not in self._sizes:
            try:
                self._sizes[key] = read_size(spelt_on_disk(self._part.folder, key))
            except ArgusError:
                self._sizes[key] = None
        return self._sizes[key]

    def _contradictions(self) -> Iterator[Fault]:
        for key, clicks in self._clicks.items():
            first: dict[tuple[float, float], str] = {}
            for x, y, label in clicks:
                if first.setdefault((x, y), label) != label:
                    what = f"the point {x:g},{y:g} is {first[x, y]!r} and {label!r}; the first counts"
                    yield Fault(f"{self.name}, image {key}", what, kind="points with several classes")
