"""Checks of output folders: on this machine, and empty or created by Argus, so that no other files are replaced."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from argus_core.errors import ArgusError, is_text

ELSEWHERE = "choose another --out"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # two letters at least: C:/ is a drive


def check_local(path: str | Path) -> None:
    """Raise ArgusError for an address such as s3://BUCKET/X, and for a path that is not valid UTF-8."""
    if address := _ADDRESS.fullmatch(str(path)):
        scheme, rest = address.groups()
        raise ArgusError(
            f"{scheme}://{rest} is an address, and this is written and read on this machine only; give a folder here, "
            f"and copy it to or from {scheme}:// with the tools of that store, or mount it"
        )
    if not is_text(str(path)):
        raise ArgusError(f"{str(path)!r} is not valid UTF-8, and files of weights cannot lie there; rename it")


def claim(folder: Path, ours: Callable[[Path], bool], what: str, remedy: str = ELSEWHERE) -> None:
    """Raise ArgusError for a folder that is neither empty nor ``ours``; ``what`` names the content of ours.

    Hidden files, such as those of a new clone of a repository, do not count: Argus writes none.
    """
    check_local(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgusError(f"{folder} is a file; {remedy}")
    if folder.is_dir() and any(entry.name[0] != "." for entry in folder.iterdir()) and not ours(folder):
        raise ArgusError(f"{folder} is not empty and holds no {what}; {remedy}")


def claim_file(path: Path, ours: Callable[[Path], bool], what: str, remedy: str = ELSEWHERE) -> None:
    """Raise ArgusError for an existing file that is not ``ours``, and for a folder in its place."""
    check_local(path)
    if path.is_dir():
        raise ArgusError(f"{path} is a folder; {remedy}")
    if path.exists() and not ours(path):
        raise ArgusError(f"{path} exists and is not a {what}; {remedy}")
