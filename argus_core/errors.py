"""The one exception a user is meant to read, and how a wrong name is answered."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArgusError(Exception):
    """A fault in what the user asked for; the text says what, which value, and what to do."""


def unknown(kind: str, name: str, known: Iterable[str]) -> ArgusError:
    """The error for a name that nothing answers to, with the nearest names first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names) or 'none'}"
    return ArgusError(f"unknown {kind} {name!r}; {hint}")
