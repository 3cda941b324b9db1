"""Tables of images: the rows of a CSV or TSV file, with its columns known by their names."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from argus_core.errors import ArgusError, Fault
from argus_data.files.texts import read_text

TABLES = (".csv", ".tsv")
DELIMITERS = (",", ";", "\t", "|")
BOX = ("xmin", "ymin", "xmax", "ymax")
COLUMNS: Mapping[str, Sequence[str]] = {
    "image": (
        *("image", "images", "img", "file", "files", "filename", "filenames", "filepath", "filepaths", "path", "paths"),
        *("imagepath", "imagepaths", "imagefile", "imagename", "imgpath", "imgname", "imageid", "id"),
    ),
    "label": (
        *("label", "labels", "labelname", "class", "classes", "classname", "category", "categories", "categoryname"),
        *("target", "classid", "labelid", "categoryid"),
    ),
    "split": ("split", "splits", "set", "subset", "partition", "dataset"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "xmin": ("xmin", "x1", "left"),
    "ymin": ("ymin", "y1", "top"),
    "xmax": ("xmax", "x2", "right"),
    "ymax": ("ymax", "y2", "bottom"),
}
"""What a column may be called, without regard to case, blanks and signs; the first name that is there counts."""


@dataclass(frozen=True)
class Row:
    """The cells of a line, without blanks around them, by what their column means."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A file, what its columns mean, its rows, and the faults of those that are left out."""

    file: Path
    columns: frozenset[str]
    rows: list[Row]
    faults: list[Fault] = field(default_factory=list)

    @property
    def has_boxes(self) -> bool:
        """Whether every row has a box."""
        return self.columns >= set(BOX)


def read_table(file: Path, columns: str = "", named: Mapping[str, str] | None = None) -> Table:
    """The rows of a file whose first one is a header, unless ``columns`` says what they mean, as in ``image,-,label``.

    ``named`` gives the names of columns by what they mean. Raises ArgusError for a file without rows, and for columns
    that are not known.
    """
    lines = _parse(file)
    if not lines:
        raise ArgusError(f"{file} is empty; write a header such as image,label and a row for each image")
    header = columns.split(",") if columns else lines.pop(0)[1]
    meanings = _meanings(file, header, named or {}, given=bool(columns))
    rows = [
        Row(number, {what: cells[place].strip() for what, place in meanings.items()})
        for number, cells in lines
        if len(cells) == len(header)
    ]
    if not rows:
        raise ArgusError(f"{file} has no rows with the {len(header)} columns {', '.join(header)}")
    return Table(file, frozenset(meanings), rows, _odd_rows(file, lines, len(header)))


def _odd_rows(file: Path, lines: Sequence[tuple[int, list[str]]], columns: int) -> list[Fault]:
    """Rows that have more or fewer columns."""
    kind = "rows with another number of columns than the header"
    return [
        Fault(
            f"{file.name}, line {number}",
            f"it has {len(cells)} columns, not {columns}; put texts with commas in double quotes",
            dropped=True,
            kind=kind,
            total=len(lines),
        )
        for number, cells in lines
        if len(cells) != columns
    ]


def has_known_columns(file: Path) -> bool:
    """Whether the first line of a file names a column of images, and one of labels or boxes."""
    with file.open("rb") as stream:
        line = stream.readline(1 << 12).decode("utf-8-sig", errors="replace")
    known = {_plain(cell) for cell in re.split(r"[,;|\t]", line)}
    return all(known & set(COLUMNS[what]) for what in ("image", "label"))


def _parse(file: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with the number of each, parted by the sign that parts the first one best."""
    text = read_text(file)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ArgusError(f"{file}, line {reader.line_num}: cannot be read as a table: {error}") from error


def _meanings(file: Path, header: Sequence[str], named: Mapping[str, str], *, given: bool) -> dict[str, int]:
    """The place of each column that is known by its name."""
    names = [cell.strip() for cell in header]
    plain = [_plain(name) for name in names]
    places = {}
    for what, words in COLUMNS.items():
        if what in named:
            if named[what] not in names:
                raise ArgusError(f"{what}={named[what]}: {file} has no such column; it has {', '.join(names)}")
            places[what] = names.index(named[what])
        elif word := next((word for word in words if word in plain), None):
            places[what] = plain.index(word)
    if "image" not in places:
        what = f"columns={','.join(header)}" if given else f"the first line, {','.join(header)[:80]},"
        raise ArgusError(
            f"{file}: {what} names no column of images (image, file, filename, path ...); give image=NAME, "
            "or, where there is no header, what the columns are: columns=image,label"
        )
    if "label" not in places:
        raise ArgusError(
            f"{file}: no column is called label, class or category; its columns are {', '.join(names)}; give label=NAME"
        )
    return places


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
