"""Tables with a column of 0 and 1 for each class, as Roboflow's ``_classes.csv`` has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.errors import ArgusError

MARKS = {"0": False, "0.0": False, "1": True, "1.0": True}
SEVERAL = "rows with several classes"


def class_columns(names: Sequence[str], others: set[int], rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """The class of each column that is none of ``others``, if most rows have only 0 and 1 in them; else nothing."""
    columns = {place: name for place, name in enumerate(names) if name and place not in others}
    marked = sum(all(cells[place].strip() in MARKS for place in columns) for cells in rows)
    return columns if len(columns) > 1 and 2 * marked > len(rows) else {}


def class_of(cells: Sequence[str], columns: dict[int, str]) -> tuple[str, str, str]:
    """The class of a row, empty where it has none; and, with its kind, what is wrong with a row to be left out."""
    for place, name in columns.items():
        if cells[place].strip() not in MARKS:
            what = f"it has {cells[place].strip()!r} in the column {name}, which is neither 0 nor 1"
            return "", what, "rows with other values than 0 and 1"
    classes = [name for place, name in columns.items() if MARKS[cells[place].strip()]]
    if len(classes) > 1:
        return "", f"it has a 1 for {' and '.join(classes)}; an image has one class", SEVERAL
    return "".join(classes), "", ""


def refuse_several(file: Path, kinds: Sequence[str]) -> None:
    """Raises ArgusError where most rows have several classes."""
    if 2 * (count := kinds.count(SEVERAL)) > len(kinds):
        raise ArgusError(
            f"{file}: {count} of {len(kinds)} rows have a 1 for several classes; several classes per image are not "
            "supported; label=NAME picks a column that has one"
        )
