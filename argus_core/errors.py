"""The one exception a user is meant to read, and how wrong names and many faults are told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["ArgusError", "counted", "several", "unknown"]


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
