"""On which images the weights of rows were chosen, and whether these are the ones that are scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def chosen_on(row: Mapping[str, Any]) -> str | None:
    """The split on which a row's weights were chosen, None if they were not.

    Rows of earlier versions do not say: heads that take steps were chosen on the validation split.
    """
    selected = row.get("selected") or {}
    if "split" in selected:
        return selected["split"] and str(selected["split"])
    return None if row.get("steps") == 0 else str(_trained_on(row)["val"].get("split", "val"))


def chosen_on_scored(row: Mapping[str, Any]) -> bool:
    """Whether a row is scored on the split that its weights were chosen on."""
    split, scored = chosen_on(row), row["data"]["val"]["sha256"]
    parts = ((name, part) for name, part in _trained_on(row).items() if isinstance(part, Mapping))
    return any(part.get("split", name) == split and part.get("sha256") == scored for name, part in parts)


def choice_notes(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What to know before the rows of a table, each with its name, are compared; nothing where no choice is scored."""
    own: dict[str, dict[str, None]] = {}
    unequal = False
    for name, row in rows:
        split, scored = chosen_on(row), chosen_on_scored(row)
        unequal = unequal or scored
        where = f"chosen on {split}" if split else "not chosen"
        text = f"{where}, the split that is scored, so that the scores are too good" if scored else where
        own.setdefault(f"weights {text}", {})[name] = None
    return [f"{text}: {', '.join(names)}" for text, names in own.items()] if unequal else []


def _trained_on(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of the training, also of a row of weights that were scored again."""
    trained: Mapping[str, Any] = row.get("trained_on") or row["data"]
    return trained
