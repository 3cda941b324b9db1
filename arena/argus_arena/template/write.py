"""A new package on disk, whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from argus_core.errors import ArgusError


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write ``files`` (text by path) as ``folder``; raises ArgusError if it is there and holds anything."""
    if folder.exists() and not folder.is_dir():
        raise ArgusError(f"{folder} is a file; give another place with --out DIR")
    if folder.is_dir() and any(folder.iterdir()):
        raise ArgusError(f"{folder} is not empty; remove it, or give another place with --out DIR")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for path, text in files.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        if folder.is_dir():
            folder.rmdir()  # empty; not every system renames onto a folder
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def git_author() -> str:
    """The name in git's configuration; empty if there is none, or no git."""
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
