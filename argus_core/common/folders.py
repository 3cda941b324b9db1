"""Where something may be written: folders of this machine that are empty or ours; nothing of anybody's is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from argus_core.errors import ArgusError, is_text

ELSEWHERE = "choose another --out"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # two letters at least: C:/ is a drive


def check_local(path: str | Path) -> None:
    """Raise ArgusError for an address such as s3://BUCKET/X, which would be a folder called ``s3:``, and odd bytes."""
    found = _ADDRESS.fullmatch(str(path))
    if found:
        scheme, rest = found.groups()
        raise ArgusError(
            f"{scheme}://{rest} is an address, and this is written and read on this machine only; give a folder here, "
            f"and copy it to or from {scheme}:// with the tools of that store, or mount it"
        )
    if not is_text(str(path)):
        raise ArgusError(f"{str(path)!r} is not valid UTF-8, and files of weights cannot lie there; rename it")


def claim(folder: Path, ours: Callable[[Path], bool], what: str, remedy: str = ELSEWHERE) -> None:
    """Raise ArgusError for a folder that holds anything and is not ``ours``; ``what`` is missing from it.

    Hidden files, such as a fresh clone of a repository has, are no contents: nothing here writes any.
    """
    check_local(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgusError(f"{folder} is a file; {remedy}")
    if folder.is_dir() and any(one.name[0] != "." for one in folder.iterdir()) and not ours(folder):
        raise ArgusError(f"{folder} is not empty and holds no {what}; {remedy}")


def claim_file(path: Path, ours: Callable[[Path], bool], what: str, remedy: str = ELSEWHERE) -> None:
    """Raise ArgusError for a file that is there and is not ``ours``, and for a folder in its place."""
    check_local(path)
    if path.is_dir():
        raise ArgusError(f"{path} is a folder; {remedy}")
    if path.exists() and not ours(path):
        raise ArgusError(f"{path} is there already and is no {what}; {remedy}")
