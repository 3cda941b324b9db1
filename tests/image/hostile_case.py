"""An unusual or malformed image: what it is made of, and the pixels or the error that must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Case:
    """One input. ``made`` is a file's content (bytes), a function of a folder that gives the source, or the source.

    Either ``pixels`` (h, w, 3), to be met within ``atol``, or ``error``, the pattern of the message.
    """

    name: str
    made: Any
    pixels: Any = None
    atol: float = 0
    error: str = ""
    warns: type[Warning] | None = None

    def put(self, folder: Path) -> Any:
        """The source, written into ``folder`` if it is a file."""
        if isinstance(self.made, bytes):
            path = folder / self.name
            path.write_bytes(self.made)
            return path
        return self.made(folder) if callable(self.made) else self.made

    def __repr__(self) -> str:
        return self.name


def good(name: str, made: Any, pixels: Any, atol: float = 0, warns: type[Warning] | None = None) -> Case:
    """A case that must be read."""
    return Case(name, made, np.asarray(pixels), atol, warns=warns)


def bad(name: str, made: Any, error: str) -> Case:
    """A case that must be refused."""
    return Case(name, made, error=error)
