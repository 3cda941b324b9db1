"""The class names that the annotation files of one data set share."""

from __future__ import annotations

from collections.abc import Mapping

from argus_core.errors import ArgusError
from argus_data.coco_file import Category, CocoFile


def common_classes(files: Mapping[str, CocoFile]) -> tuple[str, ...]:
    """Class names by rising category id of the first file that has any; ``files`` go by the name for messages.

    Names join the files: ids may differ. Raises ArgusError if names repeat or the files disagree.
    """
    used = frozenset().union(*(file.used for file in files.values()))
    named = {where: _names(where, file, used) for where, file in files.items() if file.categories}
    if not named:
        raise ArgusError(f"no categories in {', '.join(files)}; a detection data set needs named classes")
    (first, classes), *others = named.items()
    for where, names in others:
        lacking, extra = sorted(set(classes) - set(names)), sorted(set(names) - set(classes))
        if lacking or extra:
            raise ArgusError(
                f"the class names of {first} and {where} differ: only the first has {lacking or 'none'}, "
                f"only the second has {extra or 'none'}; name the categories alike in both"
            )
    return classes


def _names(where: str, file: CocoFile, used: frozenset[Category]) -> tuple[str, ...]:
    parents = {category.parent for category in file.categories}
    # Roboflow writes the name of the whole set as a first category that no object has.
    real = [c for c in file.categories if c in used or c.parent or c.name not in parents]
    names = tuple(category.name for category in real)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ArgusError(f"{where}: several categories are named {', '.join(repeated)}; classes need distinct names")
    return names
