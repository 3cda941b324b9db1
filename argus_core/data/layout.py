"""How files show which data set they are, so that a bare path can be opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """What ``found`` looks for, in words, and ``found``, which is fast and reads no image.

    ``found`` takes a file or folder and says, in words, by what it is known, as in ``data.yaml names train and val``;
    it returns an empty text unless the layout is unmistakable. It may raise ArgusError to say what keeps files that are
    nearly of this layout from being it; users read that where no layout fits.
    """

    files: str
    found: Callable[[Path], str]
