"""Tables that name images and their classes, or a box in each row: CSV and TSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError, Fault
from argus_core.image import is_hidden
from argus_data.files.images import SPLITS, data_root, split_folders
from argus_data.tables.image_names import find_images
from argus_data.tables.splits import Part, box_split, class_split
from argus_data.tables.table_file import TABLES, Row, Table, has_known_columns, read_table

ROBOFLOW = "_annotations.csv"
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

    A row gives an image and its class; or, with xmin, ymin, xmax and ymax, an object, in pixels of the image. Columns
    are known by usual names (image, filename, path; label, class, category); ``image``, ``label`` and ``split`` give
    others, and ``columns`` those of a file without a header, as in ``columns=image,-,label``. A column ``split``
    divides a file; without it a single file is one split, ``all``. Images lie below the file, or in the folder
    ``images`` beside it; names without a suffix are looked up. ``limit`` keeps that many images of each split.
    """
    root = data_root(path, limit)
    named = {what: name for what, name in (("image", image), ("label", label), ("split", split)) if name}
    tables = {name: read_table(file, columns, named) for name, file in find_tables(root).items()}
    boxes = {table.has_boxes for table in tables.values()}
    if len(boxes) > 1:
        raise ArgusError(f"of {' and '.join(str(table.file) for table in tables.values())} only some have boxes")
    parts = [part for name, table in tables.items() for part in _parts(name, table, images)]
    classes = _classes([row.cells["label"] for part in parts for _, row in part.rows])
    if not classes:
        raise ArgusError(f"{parts[0].table.file} gives no image a class; its column of labels is empty")
    build = box_split if True in boxes else class_split
    return {part.name: build(part, classes, limit) for part in parts}


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
        split: folder / ROBOFLOW for split, folder in split_folders(root).items() if (folder / ROBOFLOW).is_file()
    }
    others = [file for file in files.values() if not is_hidden(file.name)]
    if found or len(others) == 1:
        return found or {"all": others[0]}
    which = f"; it holds {', '.join(file.name for file in others)}: give one, as in csv:{others[0]}" if others else ""
    raise ArgusError(f"{root} holds no train.csv, val.csv or test.csv, no SPLIT/{ROBOFLOW}, and no single table{which}")


def _parts(name: str, table: Table, images: str) -> Iterator[Part]:
    """The rows of each split of a table whose images are there."""
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        groups.setdefault(_split_of(row, table) if "split" in table.columns else name, []).append(row)
    for split in [known for known in (*SPLITS, "all") if known in groups]:
        rows = groups[split]
        folder, keys = find_images(table.file, [row.cells["image"] for row in rows], images, split)
        lost = [row for row, key in zip(rows, keys, strict=True) if not key]
        faults = [
            Fault(
                f"{split}, {table.file.name}, line {row.line}",
                f"there is no image {row.cells['image'] or 'without a name'}",
                dropped=True,
                kind="rows whose image is not there",
                total=len(rows),
            )
            for row in lost
        ]
        kept = [(key, row) for key, row in zip(keys, rows, strict=True) if key]
        yield Part(split, table, folder, kept, [*table.faults, *faults])


def _split_of(row: Row, table: Table) -> str:
    value = row.cells["split"].casefold()
    split = next((split for split, words in SPLITS.items() if value in words), None)
    if split is None:
        raise ArgusError(
            f"{table.file}, line {row.line}: split {row.cells['split']!r} is not one of train, val and test; correct it"
        )
    return split


def _classes(labels: Sequence[str]) -> list[str]:
    """The different labels that are not empty, in order of number if they are numbers, else of name."""
    classes = {label for label in labels if label}
    return sorted(classes, key=int) if all(label.isdecimal() for label in classes) else sorted(classes)


def looks_like_table(path: Path) -> str:
    """By what a path is known as a table of images: names of files, and of their columns."""
    if path.is_file():
        known = path.suffix.lower() in TABLES and has_known_columns(path)
        return f"{path.name} has columns of images and labels" if known else ""
    try:
        files = list(find_tables(path).values())
    except ArgusError:
        return ""
    known = all(file.stem != "metadata" and has_known_columns(file) for file in files)  # that is for hf:
    return f"{files[0].relative_to(path)} has columns of images and labels" if known else ""
