"""The classes that all splits of tables share: named by a column, by a file, or by the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError
from argus_data.folders.image_folders import mask_classes
from argus_data.hf.columns import class_names
from argus_data.hf.rows import Rows, all_values

Names = tuple[str, ...]


def label_classes(rows: Mapping[str, Rows], root: Path, file: str) -> tuple[Names, dict[str, int]]:
    """The classes of the labels of all splits, and the class of each label: of text and numbers those that occur.

    ``file`` names the classes of labels that are numbers.
    """
    features = {name: part.table.features[part.columns.label] for name, part in rows.items() if part.columns.label}
    classes = _named(features)
    if not classes:
        classes = _in_order(label for part in rows.values() for label in part.labels or [] if label is not None)
        if file and all(label.isdecimal() for label in classes):
            names, _ = mask_classes(root, file)
            if beyond := [label for label in classes if int(label) >= len(names)]:
                raise ArgusError(f"label {beyond[0]} has no name among the {len(names)} of {file}")
            return tuple(names), {str(index): index for index in range(len(names))}
    return classes, {label: index for index, label in enumerate(classes)}


def object_classes(rows: Mapping[str, Rows], split: str, root: Path, file: str) -> tuple[Names, dict[Any, int]]:
    """The classes of the objects of all splits, and the class of each value in one of them.

    ``file`` names the classes of objects that are numbers.
    """
    features = {name: part.columns.objects.feature for name, part in rows.items() if part.columns.objects}
    if classes := _named(features):
        return classes, {value: classes.index(name) for value, name in enumerate(class_names(features[split]))}
    values = [value for value in all_values(rows) if value is not None and str(value).strip()]
    if file and all(isinstance(value, int) for value in values):
        names, _ = mask_classes(root, file)
        return tuple(names), {value: value for value in range(len(names))}
    classes = _in_order(map(str, values))
    return classes, {value: classes.index(str(value)) for value in values}


def _named(features: Mapping[str, Any]) -> Names:
    """The names of a type of classes, empty for other types; raises ArgusError where splits have other names."""
    named = {split: class_names(feature) for split, feature in features.items()}
    (first, classes), *others = named.items()
    for split, names in others:
        if set(names) != set(classes):
            only, extra = sorted(set(classes) - set(names)), sorted(set(names) - set(classes))
            raise ArgusError(
                f"the classes of splits {first!r} and {split!r} differ: only the first has {only or 'none'}, only the "
                f"second has {extra or 'none'}; cast both to the same ClassLabel"
            )
    return classes


def _in_order(values: Iterable[str]) -> Names:
    """Each once: numbers by size, texts by their letters."""
    found = set(values)
    numbers = all(value.removeprefix("-").isdecimal() for value in found)
    return tuple(sorted(found, key=int) if numbers else sorted(found))
