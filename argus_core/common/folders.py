"""Checks of output folders: where they can lie, and empty or created by Argus, so that no other files are replaced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from argus_core.common.address import PATTERN, Address
from argus_core.errors import ArgusError, is_text

ELSEWHERE = "choose another --out"


def check_local(path: str | Path) -> None:
    """Raise ArgusError for an address where no ``place`` was made of it, and for a path that is not valid UTF-8.

    Who makes places of what users give can read and write at addresses such as s3://BUCKET/X.
    """
    address = None if isinstance(path, Address) else PATTERN.fullmatch(str(path))
    if address:
        scheme, rest = address.groups()
        raise ArgusError(
            f"{scheme}://{rest} is an address, and this is written and read on this machine only; give a folder here, "
            f"and copy it to or from {scheme}:// with the tools of that store, or mount it"
        )
    if not is_text(str(path)):
        raise ArgusError(f"{str(path)!r} is not valid UTF-8, and files of weights cannot lie there; rename it")


def free_bytes(path: Path) -> int | None:
    """How many bytes may be written at a path, which need not be there yet; None in a store, which does not say."""
    if isinstance(path, Address):
        return None
    return shutil.disk_usage(next(parent for parent in (path, *path.absolute().parents) if parent.exists())).free


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
