"""Image classes: a class per image, from folders or from a file of labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.common.files import json_sha256, read_json
from argus_core.errors import ArgusError, Fault, several
from argus_core.image import composed
from argus_data.files.images import Layer

if TYPE_CHECKING:
    from argus_core.tasks.classify import Classify


FEW = 20
"""Rows of which each may have a class of its own."""


class LabelLayer(Layer):
    """One class index per image."""

    def __init__(self, classes: Sequence[str], labels: Sequence[int]) -> None:
        self.classes, self.labels = tuple(classes), tuple(int(label) for label in labels)

    @property
    def task(self) -> Classify:
        """Classification into the layer's classes."""
        from argus_core.tasks.classify import Classify

        return Classify(classes=self.classes)

    def truth(self, sample: int) -> int:
        """The class index of an image."""
        return self.labels[sample]

    def digest(self) -> str:
        """sha256 (hex) over classes and labels."""
        return json_sha256([self.classes, self.labels])


def evenly(labels: Sequence[int], limit: int) -> list[int]:
    """The positions of ``limit`` labels (0: all), in order: the first of every class, then the second, and so on."""
    if not limit:
        return list(range(len(labels)))
    counts: Counter[int] = Counter()
    ranks = []
    for position, label in enumerate(labels):
        ranks.append((counts[label], label, position))
        counts[label] += 1
    return sorted(position for *_, position in sorted(ranks)[:limit])


def own_labels(where: str, rows: int, classes: int) -> list[Fault]:
    """A fault of a column in which nearly every one of ``rows`` has a value of its own: it is none of classes."""
    if rows <= FEW or classes <= rows / 2:
        return []
    what = f"its {rows} rows have {classes} different labels: are they classes? label=NAME picks a column"
    return [Fault(where, what, wrong=True)]


def read_labels(path: Path, keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Sorted class names and the class index of every key, from a CSV (file, class) or JSON ({file: class}) file.

    A key is looked up by its whole path, then by its file name, then by its stem. Backslashes in the file are read as
    slashes, and absolute paths match by their end. Raises ArgusError naming keys without a class.
    """
    keys = [composed(key) for key in keys]
    short = {name for key in keys for name in (key, Path(key).name, Path(key).stem)}
    entries = _read_json(path) if path.suffix.lower() == ".json" else _read_csv(path, short)
    names = {key if key in short else key.replace("\\", "/"): name for key, name in entries.items()}
    lookup = {**_unique(names, lambda key: Path(key).stem), **_unique(names, lambda key: Path(key).name)}
    for depth in sorted({key.count("/") + 1 for key in keys}):
        lookup |= _unique(names, partial(_path_end, depth=depth))
    lookup |= names
    matches = [lookup.get(key, lookup.get(Path(key).name, lookup.get(Path(key).stem))) for key in keys]
    missing = [key for key, name in zip(keys, matches, strict=True) if name is None]
    if missing:
        raise ArgusError(f"{path} gives no class for {len(missing)} images, such as {missing[0]}; add them")
    classes = tuple(sorted(set(names.values())))
    index = {name: label for label, name in enumerate(classes)}
    return classes, tuple(index[str(name)] for name in matches)


def _path_end(key: str, depth: int) -> str:
    return "/".join(key.split("/")[-depth:])


def _unique(names: Mapping[str, str], shorten: Callable[[str], str]) -> dict[str, str]:
    """Classes by a shortened key, where only one file has it."""
    counts = Counter(map(shorten, names))
    return {shorten(key): name for key, name in names.items() if counts[shorten(key)] == 1}


def _read_json(path: Path) -> dict[str, str]:
    content = read_json(path, 'write {"file": "class", ...}')
    if not isinstance(content, dict):
        raise ArgusError(f'{path} is not a table of classes; write {{"file": "class", ...}}')
    wrong = [f"{key!r}: {name!r}" for key, name in content.items() if not isinstance(name, str | int)]
    if wrong:
        raise ArgusError(f'{path} gives what is no class, write "file": "class": {several(wrong)}')
    return {composed(str(key)): str(name) for key, name in content.items()}


def _read_csv(path: Path, images: Set[str]) -> dict[str, str]:
    """Classes by file; a first row that names neither an image nor a file is a header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArgusError(f"{path} cannot be read as a table of labels: {error}") from error
    names: dict[str, str] = {}
    wrong = []
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            wrong.append(f"row {number} has {len(row)} columns, not 2 (file, class): {','.join(row)}")
            continue
        key, name = composed(row[0].strip()), row[1].strip()
        if number == 1 and not Path(key).suffix and key not in images:
            continue
        if names.setdefault(key, name) != name:
            wrong.append(f"row {number} says {key} is {name}, an earlier one {names[key]}")
    if wrong:
        raise ArgusError(f"{path}: {several(wrong)}")
    if not names:
        raise ArgusError(f"{path} holds no labels; write one file,class per line")
    return names
