"""Where a bundle is: a folder, that of a built-in model, else a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from argus_core.backbones.hub import published_folder
from argus_core.bundle.config import CONFIG
from argus_core.errors import ArgusError, unknown
from argus_core.places import folder_of, is_hub_id
from argus_core.registry import MODELS


def find_folder(source: str | Path, file: str, revision: str | None = None) -> Path:
    """The folder that holds config.json and the weights ``file``; only an ``owner/name`` that is no path is fetched.

    A name that is registered in the group ``argus.models`` is a built-in model, unless a folder here is called so.
    """
    path = folder_of(source) if isinstance(source, str) else source.expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise ArgusError(f"{path} is a file; give the folder that it lies in")
    if isinstance(source, Path) or not is_hub_id(source):
        named = unknown("built-in model", str(source), (entry.name for entry in MODELS.entries()))
        raise ArgusError(f"there is no folder {path}; give one that Argus.save wrote, or a hub id OWNER/NAME; {named}")
    try:
        return published_folder(source, (CONFIG, file), revision)
    except ArgusError as error:
        raise ArgusError(f"there is no folder {source} here, and as a hub id: {error}") from error
