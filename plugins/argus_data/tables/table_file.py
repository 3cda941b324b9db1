"""Tables of images: the rows of a CSV or TSV file, with its columns known by their names."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from argus_core.errors import ArgusError
from argus_data.files.texts import read_text
from argus_data.tables.one_hot import class_columns, class_of, refuse_several

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
    "x": ("x",),
    "y": ("y",),
}
"""What a column may be called, without regard to case, blanks and signs; the first name that is there counts."""


@dataclass(frozen=True)
class Row:
    """The cells of a line, without blanks around them, by what their column means.

    ``what`` says why a row cannot be used, in words; ``dropped`` whether anything is lost with it.
    """

    line: int
    cells: Mapping[str, str]
    what: str = ""
    kind: str = ""
    dropped: bool = True


@dataclass(frozen=True)
class Table:
    """A file, what its columns mean, and its rows, with those that cannot be used; ``unit`` is what it has them in."""

    file: Path
    columns: frozenset[str]
    rows: list[Row]
    unit: str = "line"

    @property
    def has_boxes(self) -> bool:
        """Whether every row has a box."""
        return self.columns >= set(BOX)


def read_table(
    file: Path, columns: str = "", named: Mapping[str, str] | None = None, *, need_labels: bool = True
) -> Table:
    """The rows of a file whose first one is a header, unless ``columns`` says what they mean, as in ``image,-,label``.

    ``named`` gives the names of columns by what they mean. Raises ArgusError for a file without rows, and for columns
    that are not known; those of classes may be missing unless ``need_labels``.
    """
    lines = _parse(file)
    if not lines:
        raise ArgusError(f"{file} is empty; write a header such as image,label and a row for each image")
    header = [name.strip() for name in (columns.split(",") if columns else lines.pop(0)[1])]
    meanings = _meanings(file, header, named or {}, given=bool(columns), need_labels=need_labels)
    full = [cells for _, cells in lines if len(cells) == len(header) and any(map(str.strip, cells))]
    classes: dict[int, str] = {}
    if "label" not in meanings:
        known = {what: place for what, place in meanings.items() if what in ("image", "split")}
        classes = {} if columns else class_columns(header, set(known.values()), full)
        if need_labels and not classes:
            raise ArgusError(
                f"{file}: no column is called label, class or category; its columns are {', '.join(header)}; "
                "give label=NAME"
            )
        meanings = known if classes else meanings
    if not full:
        raise ArgusError(f"{file} has no rows with the {len(header)} columns {', '.join(header)}")
    rows = [_row(number, cells, len(header), meanings, classes) for number, cells in lines]
    refuse_several(file, [row.kind for row in rows])
    return Table(file, frozenset({*meanings, *(["label"] if classes else [])}), rows)


def _row(line: int, cells: Sequence[str], columns: int, meanings: Mapping[str, int], classes: dict[int, str]) -> Row:
    if not any(map(str.strip, cells)):
        return Row(line, {}, "it is empty apart from separators", "rows that are empty", dropped=False)
    if len(cells) != columns:
        what = f"it has {len(cells)} columns, not {columns}; put texts with commas in double quotes"
        return Row(line, {}, what, "rows with another number of columns than the header")
    found = {"label": "", **{what: cells[place].strip() for what, place in meanings.items()}}
    if not classes:
        return Row(line, found)
    label, what, kind = class_of(cells, classes)
    return Row(line, {**found, "label": label}, what, kind)


def has_known_columns(file: Path) -> bool:
    """Whether the first line of a file names a column of images, and one of labels or boxes."""
    with file.open("rb") as stream:
        line = stream.readline(1 << 12).decode("utf-8-sig", errors="replace")
    known = {_plain(cell) for cell in re.split(r"[,;|\t]", line)}
    return all(known & set(COLUMNS[what]) for what in ("image", "label"))


def _parse(file: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not blank, with their numbers, from the first with a text; the sign it has most parts them."""
    text = read_text(file)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if len(cells) > 1 or any(map(str.strip, cells))]
    except csv.Error as error:
        raise ArgusError(f"{file}, line {reader.line_num}: cannot be read as a table: {error}") from error
    return list(dropwhile(lambda line: not any(map(str.strip, line[1])), lines))


def _meanings(
    file: Path, names: Sequence[str], named: Mapping[str, str], *, given: bool, need_labels: bool
) -> dict[str, int]:
    """The place of each column that is known by its name."""
    plain = [_plain(name) for name in names]
    places = {}
    for what, words in COLUMNS.items():
        if what in named:
            if named[what] in names:
                places[what] = names.index(named[what])
            elif need_labels or what == "image":
                raise ArgusError(f"{what}={named[what]}: {file} has no such column; it has {', '.join(names)}")
        elif word := next((word for word in words if word in plain), None):
            places[what] = plain.index(word)
    if "image" not in places:
        what = f"columns={','.join(names)}" if given else f"the first line, {','.join(names)[:80]},"
        raise ArgusError(
            f"{file}: {what} names no column of images (image, file, filename, path ...); give image=NAME, "
            "or, where there is no header, what the columns are: columns=image,label"
        )
    return places


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
