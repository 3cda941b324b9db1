"""The one exception a user is meant to read, faults of data sets, and how wrong names and many faults are reported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["ArgusError", "Fault", "counted", "several", "unknown"]


class ArgusError(Exception):
    """A fault in what the user asked for; the text says what, which value, and what to do."""


def unknown(kind: str, name: str, known: Iterable[str], near: Sequence[str] = ()) -> ArgusError:
    """The error for a name that nothing answers to, with the nearest names: ``near``, or those spelt alike."""
    names = sorted(set(known))
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names) or 'none'}"
    return ArgusError(f"unknown {kind} {name!r}; {hint}")


def is_text(text: str) -> bool:
    """Whether a text is Unicode, which a file's name of other bytes is not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def several(faults: Sequence[str]) -> str:
    """The first five of some faults, and how many there are if that is more."""
    return "; ".join([*faults[:5], *([f"{len(faults)} in all"] if len(faults) > 5 else [])])


def counted(number: int, noun: str) -> str:
    """As in ``1 image``, ``2 images`` and ``2 passes``."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set, in words: where, what, and whether the annotation is left out.

    Faults of one ``kind``, in words too, are counted and told together. ``count`` is how many annotations or images
    this one concerns, ``total`` of how many there are: if a tenth or more of them is, a result would be wrong, and
    commands refuse the data. So they do for a single fault that is ``wrong``. All other faults are warned of.
    """

    where: str
    what: str
    dropped: bool = False
    kind: str = ""
    count: int = 1
    total: int = 0
    wrong: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (" (left out)" if self.dropped else "")
