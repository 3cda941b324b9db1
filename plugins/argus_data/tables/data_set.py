"""Tables that name images and their classes, or a box in each row: CSV and TSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import islice
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.image import IMAGES, is_hidden, suffix_of
from argus_data.files.images import SPLITS, data_root, split_folders
from argus_data.tables.image_names import find_images
from argus_data.tables.splits import BareSplit, BoxRows, ClassRows, Part, row_fault
from argus_data.tables.table_file import TABLES, Row, Table, has_known_columns, read_table

ROBOFLOW = ("_annotations.csv", "_classes.csv")
CLICKS = "clicks.csv"
"""A table of clicks, which label points of images."""
SAMPLE = "submission"
"""In the names of tables that show competitors how to write results, and are no data."""
LOOKED = 20
"""Entries of a folder that are looked at for an image."""
ENDS = (*TABLES, "_labels.csv", "_annotations.csv")
"""How the table of a split may be called, after its name."""


def open_table(
    path: str | Path,
    *,
    columns: str = "",
    image: str = "",
    label: str = "",
    split: str = "",
    images: str = "",
    limit: int = 0,
) -> dict[str, Split]:
    """The splits of a CSV or TSV file, or of a folder's train.csv, val.csv and test.csv, or SPLIT/_annotations.csv.

    A row gives an image and its class, in one column or as a 1 in the column of the class; or, with xmin, ymin, xmax
    and ymax, an object, in pixels of the image. A table that follows the first may be without classes. Columns
    are known by usual names (image, filename, path; label, class, category); ``image``, ``label`` and ``split`` give
    others, and ``columns`` those of a file without a header, as in ``columns=image,-,label``. A column ``split``
    divides a file; without it a single file is one split, ``all``. Images lie below the file, or in the folder
    ``images`` beside it; names without a suffix are looked up. ``limit`` keeps that many images of each split.
    """
    root = data_root(path, limit)
    named = {what: name for what, name in (("image", image), ("label", label), ("split", split)) if name}
    files = find_tables(root)
    first = next(iter(files))  # others may be published without labels
    tables = {name: read_table(file, columns, named, need_labels=name == first) for name, file in files.items()}
    parts = [part for name, table in tables.items() for part in parts_of(name, table, images)]
    labelled = [part for part in parts if part.labelled]
    boxes = {part.table.has_boxes for part in labelled}
    if len(boxes) > 1:
        raise ArgusError(f"of {' and '.join(str(table.file) for table in tables.values())} only some have boxes")
    rows = {part.name: (BoxRows if True in boxes else ClassRows)(part, limit) for part in labelled}
    used = set[str]().union(*(part.labels for part in rows.values()))
    classes = sorted_classes(used or {row.cells["label"] for part in labelled for _, row in part.rows} - {""})
    if not classes:
        raise ArgusError(f"{tables[first].file} gives no image a class; its column of labels is empty")
    return {part.name: rows[part.name].split(classes) if part.labelled else BareSplit(part, limit) for part in parts}


def find_tables(root: Path) -> dict[str, Path]:
    """The tables at or in a path, by split; ``all`` for a single one."""
    if root.is_file():
        return {"all": root}
    if not root.is_dir():
        raise ArgusError(f"{root}: no such file or folder; give a CSV file, or the folder that holds train.csv")
    files = {file.name.lower(): file for file in sorted(root.iterdir()) if file.suffix.lower() in TABLES}
    names = {split: [f"{word}{end}" for word in words for end in ENDS] for split, words in SPLITS.items()}
    found = {split: files[name] for split, known in names.items() for name in known if name in files}
    found = found or {
        split: folder / name
        for split, folder in split_folders(root).items()
        for name in ROBOFLOW
        if (folder / name).is_file()
    }
    others = [file for file in files.values() if not is_hidden(file.name) and SAMPLE not in file.name.lower()]
    if found or len(others) == 1:
        return found or {"all": others[0]}
    which = f"; it holds {', '.join(file.name for file in others)}: give one, as in csv:{others[0]}" if others else ""
    raise ArgusError(
        f"{root} holds no train.csv, val.csv or test.csv, no SPLIT/{' or SPLIT/'.join(ROBOFLOW)}, "
        f"and no single table{which}"
    )


def parts_of(name: str, table: Table, images: str) -> Iterator[Part]:
    """The rows of each split of a table whose images are there; the first tells of the rows that could be of any."""
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.cells:
            groups.setdefault(_split_of(row, table) if "split" in table.columns else name, []).append(row)
    loose = [row for row in table.rows if not row.cells]
    for split in [known for known in (*SPLITS, "all") if known in groups]:
        yield _part(split, table, [*loose, *groups[split]], images)
        loose = []


def _part(split: str, table: Table, rows: Sequence[Row], images: str) -> Part:
    usable = [row for row in rows if not row.what]
    total = sum(row.dropped for row in rows if row.what) + len(usable)
    lost = [(row, row.what, row.kind) for row in rows if row.what]
    if not usable:
        raise ArgusError(f"{table.file}: no row of {split} can be used; {table.unit} {lost[0][0].line}: {lost[0][1]}")
    folder, keys = find_images(table.file, [row.cells["image"] for row in usable], images, split)
    lost += [
        (row, f"there is no image {row.cells['image'] or 'without a name'}", "rows whose image is not there")
        for row, key in zip(usable, keys, strict=True)
        if not key
    ]
    faults = [
        row_fault(split, table, row, what, kind, total=total if row.dropped else 0)
        for row, what, kind in sorted(lost, key=lambda each: each[0].line)
    ]
    kept = [(key, row) for key, row in zip(keys, usable, strict=True) if key]
    return Part(split, table, folder, kept, total, faults)


def _split_of(row: Row, table: Table) -> str:
    value = row.cells["split"].casefold()
    split = next((split for split, words in SPLITS.items() if value in words), None)
    if split is None:
        place = f"{table.file}, {table.unit} {row.line}"
        raise ArgusError(f"{place}: split {row.cells['split']!r} is not one of train, val and test; correct it")
    return split


def sorted_classes(classes: Set[str]) -> list[str]:
    """The classes in order of number if they are numbers, else of name."""
    return sorted(classes, key=int) if all(label.isdecimal() for label in classes) else sorted(classes)


def table_layout(path: Path) -> str:
    """By what a path is known as a table of images: names of files, and of their columns.

    Raises ArgusError, with what its columns lack, for a table, and for a folder of images with one.
    """
    if path.is_file() and path.suffix.lower() not in TABLES:
        return ""
    try:
        file = next(iter(find_tables(path).values()))
    except ArgusError:
        return ""
    if (file.stem == "metadata" and path.is_dir()) or file.name == CLICKS:  # these are for hf: and clicks:
        return ""
    if not has_known_columns(file):
        if path.is_dir() and not _has_images(path):
            return ""
        read_table(file)
    return f"{file.relative_to(path) if path.is_dir() else file.name} has columns of images and labels"


def _has_images(folder: Path) -> bool:
    """Whether images lie in a folder, or in one below it."""
    folders = [folder, *(child for child in sorted(folder.iterdir()) if child.is_dir() and not is_hidden(child.name))]
    return any(suffix_of(file.name) in IMAGES for each in folders for file in islice(each.iterdir(), LOOKED))
