"""Image classes: a class per image, from folders or from a file of labels."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.common.files import json_sha256, read_json
from argus_core.errors import ArgusError, several
from argus_core.image import composed
from argus_data.images import Layer

if TYPE_CHECKING:
    from argus_core.tasks import Task


class LabelLayer(Layer):
    """One class index per image."""

    def __init__(self, classes: Sequence[str], labels: Sequence[int]) -> None:
        self.classes, self.labels = tuple(classes), tuple(int(label) for label in labels)

    @property
    def task(self) -> Task:
        """Classification into the layer's classes."""
        from argus_core.tasks.classify import Classify

        return Classify(classes=self.classes)

    def truth(self, sample: int) -> int:
        """The class index of an image."""
        return self.labels[sample]

    def digest(self) -> str:
        """sha256 (hex) over classes and labels."""
        return json_sha256([self.classes, self.labels])


def read_labels(path: Path, keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Class names, sorted, and the class index of every key, of a CSV (file, class) or JSON ({file: class}) file.

    A key is found by its whole path or, failing that, by its file name or stem; backslashes are slashes, and of
    absolute paths the end counts. Raises ArgusError naming keys without a class.
    """
    keys = [composed(key) for key in keys]
    short = {name for key in keys for name in (key, Path(key).name, Path(key).stem)}
    read = _read_json(path) if path.suffix.lower() == ".json" else _read_csv(path, short)
    named = {key if key in short else key.replace("\\", "/"): name for key, name in read.items()}
    lookup = {**_unique(named, lambda key: Path(key).stem), **_unique(named, lambda key: Path(key).name)}
    for depth in sorted({key.count("/") + 1 for key in keys}):
        lookup |= _unique(named, partial(_end, depth=depth))
    lookup |= named
    found = [lookup.get(key, lookup.get(Path(key).name, lookup.get(Path(key).stem))) for key in keys]
    missing = [key for key, name in zip(keys, found, strict=True) if name is None]
    if missing:
        raise ArgusError(f"{path} gives no class for {len(missing)} images, such as {missing[0]}; add them")
    classes = tuple(sorted(set(named.values())))
    number = {name: label for label, name in enumerate(classes)}
    return classes, tuple(number[str(name)] for name in found)


def _end(key: str, depth: int) -> str:
    """The last parts of a path."""
    return "/".join(key.split("/")[-depth:])


def _unique(named: Mapping[str, str], short: Callable[[str], str]) -> dict[str, str]:
    """Classes by a shorter name, where that names one file only."""
    counts: dict[str, int] = {}
    for key in named:
        counts[short(key)] = counts.get(short(key), 0) + 1
    return {short(key): name for key, name in named.items() if counts[short(key)] == 1}


def _read_json(path: Path) -> dict[str, str]:
    held = read_json(path, 'write {"file": "class", ...}')
    if not isinstance(held, dict):
        raise ArgusError(f'{path} is not a table of classes; write {{"file": "class", ...}}')
    wrong = [f"{key!r}: {name!r}" for key, name in held.items() if not isinstance(name, str | int)]
    if wrong:
        raise ArgusError(f'{path} gives what is no class, write "file": "class": {several(wrong)}')
    return {composed(str(key)): str(name) for key, name in held.items()}


def _read_csv(path: Path, images: Set[str]) -> dict[str, str]:
    """Classes by file; a first row that names neither an image nor a file is a header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArgusError(f"{path} cannot be read as a table of labels: {error}") from error
    named: dict[str, str] = {}
    wrong = []
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            wrong.append(f"row {number} has {len(row)} columns, not 2 (file, class): {','.join(row)}")
            continue
        key, name = composed(row[0].strip()), row[1].strip()
        if number == 1 and not Path(key).suffix and key not in images:
            continue
        if named.setdefault(key, name) != name:
            wrong.append(f"row {number} says {key} is {name}, an earlier one {named[key]}")
    if wrong:
        raise ArgusError(f"{path}: {several(wrong)}")
    if not named:
        raise ArgusError(f"{path} holds no labels; write one file,class per line")
    return named
