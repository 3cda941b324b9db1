"""File names in annotations as paths on this machine: they may have backslashes, or be absolute on another machine."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_OUTSIDE = re.compile(r"(file://(localhost)?)?(/|[A-Za-z]:/)|\.\./")
_ADDRESS = re.compile(r"\\|%[0-9A-Fa-f]{2}|\?d=")
SAMPLE = 20
"""How many images decide where all of them lie."""


def local_names(names: Sequence[str], folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of the images and their names in it, which stay the same when the data set is moved.

    Absolute names, and names with ``..`` that lead nowhere, are cut to the part below ``folder``, or else below the
    folder that all of them share. Backslashes are read as slashes unless a file has them in its name.
    """
    plain = tuple(_slashed(name, folder) for name in names)
    if not plain or not all(map(_OUTSIDE.match, plain)):
        return folder, plain
    if plain[0].startswith("../") and any((folder / name).is_file() for name in plain[:SAMPLE]):
        return folder, plain
    paths = [re.sub(r"^file://(localhost)?", "", name) for name in plain]
    try:
        common = os.path.commonpath({path.rpartition("/")[0] or "/" for path in paths})
    except ValueError:  # some with a drive, some without
        return folder, plain
    tails = tuple(path[len(common) :].lstrip("/") for path in paths)
    parts = PurePosixPath(common).parts
    for start in range(1, len(parts) + 1):  # the longest path that exists is the surest
        below = "".join(f"{part}/" for part in parts[start:])
        if any((folder / f"{below}{tail}").is_file() for tail in tails[:SAMPLE]):
            return folder, tuple(f"{below}{tail}" for tail in tails)
    return folder / common, tails


def located(names: Sequence[str], folders: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """The one of ``folders`` in which most of the images lie, and their names in it, as ``local_names`` gives them.

    If none is found, folders before the names are left out, one after the other, as long as the names differ. The first
    of the folders is given where nothing helps.
    """
    step, deepest = max(1, len(names) // SAMPLE), max((name.count("/") for name in names[:SAMPLE]), default=0)
    for cut in range(deepest + 1):
        short = ["/".join(name.split("/")[min(cut, name.count("/")) :]) for name in names]
        if len(set(short)) < len(set(names)):
            break
        places = [local_names(short, folder) for folder in folders]
        there = [sum(spelt_on_disk(place, name).is_file() for name in local[::step]) for place, local in places]
        if any(there):
            return places[there.index(max(there))]
    return local_names(names, folders[0])


def spelt_on_disk(folder: Path, name: str) -> Path:
    """The path of a file, or that of an existing one whose letters are composed differently (Unicode forms C and D)."""
    path = folder / name
    if name.isascii() or path.exists():
        return path
    forms = (folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return next((form for form in forms if form.exists()), path)


def is_possible(name: str) -> bool:
    """Whether a file can have this name on this machine."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _slashed(name: str, folder: Path) -> str:
    """A name with slashes, and without the signs that an address needs, where no file has it as it is."""
    if not _ADDRESS.search(name) or (folder / name).exists():
        return name
    slashed = name.replace("\\", "/")
    plain = unquote(slashed.rpartition("?d=")[2])  # what Label Studio writes for files of its server
    return plain if plain != slashed and "\0" not in plain and (folder / plain).exists() else slashed
