"""The exception for users, faults of data sets, and helpers for their messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["ArgusError", "Fault", "counted", "several", "unknown"]


class ArgusError(Exception):
    """A mistake in what the user asked for; the text says what is wrong, with which value, and what to do."""


def unknown(kind: str, name: str, known: Iterable[str], near: Sequence[str] = ()) -> ArgusError:
    """The error for an unknown name, with the nearest known ones: ``near``, or those with a similar spelling."""
    names = sorted(set(known))
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names) or 'none'}"
    return ArgusError(f"unknown {kind} {name!r}; {hint}")


def is_text(text: str) -> bool:
    """Whether a text is valid Unicode; a file name with undecodable bytes is not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def several(faults: Sequence[str]) -> str:
    """The first five of some faults, and the total number if there are more."""
    return "; ".join([*faults[:5], *([f"{len(faults)} in all"] if len(faults) > 5 else [])])


def counted(number: int, noun: str) -> str:
    """As in ``1 image``, ``2 images`` and ``2 passes``."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set, in words: where, what, and whether the annotation is left out.

    Faults of the same ``kind``, also in words, are counted and reported together. A fault concerns ``count`` of
    ``total`` annotations or images: if it is a tenth or more of them, a result would be wrong, and commands refuse the
    data. They also refuse a single fault that is ``wrong``. All other faults cause warnings.
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
