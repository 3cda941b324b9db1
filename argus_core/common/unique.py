"""Names of files that can stand beside each other on every system."""

from __future__ import annotations

import unicodedata
from itertools import count
from pathlib import PurePath

DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""Names, in lower case, that Windows keeps for itself, whatever their suffix."""


class UniqueNames:
    """Gives each name once: one that was given before is numbered, ``a-1``.

    Names that differ only in case, or in how their accents are composed, are one file on some systems, so they are
    numbered too.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def give(self, name: str) -> str:
        """``name``, or the first of ``name-1``, ``name-2`` and so on that is free."""
        key = _alike(name)
        if key in self._taken:
            number = next(n for n in count(self._next.get(key, 1)) if _alike(f"{name}-{n}") not in self._taken)
            self._next[key] = number + 1
            name = f"{name}-{number}"
        self._taken.add(_alike(name))
        return name


def plain_name(text: str) -> str:
    """``text`` with ``_`` for whatever is not a letter, a digit, a blank or one of ``-_.``; never empty."""
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text) or "input"
    return f"{name}_" if name.partition(".")[0].strip().lower() in DEVICES else name


def plain_path(path: PurePath) -> str:
    """A relative path of plain names, with slashes."""
    return "/".join(plain_name(part) for part in path.parts)


def one_line(text: str) -> str:
    """``text`` with ``_`` for control characters such as line feeds."""
    return "".join("_" if unicodedata.category(c) == "Cc" else c for c in text)


def readable(text: str) -> str:
    """``text`` with question marks for the bytes of a file's name that are not UTF-8, where it has such."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _alike(name: str) -> str:
    """What the names have in common that no two files of a folder can have on every system."""
    return unicodedata.normalize("NFC", name).casefold()
