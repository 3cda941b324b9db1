"""Where the files of a saved Argus lie: in a folder, or in a repository of the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from argus_core.common.hub import fetch
from argus_core.common.hub_errors import HubError
from argus_core.common.places import place
from argus_core.errors import ArgusError, unknown
from argus_core.registry.places import folder_of, is_hub_id, split_revision
from argus_core.registry.registry import MODELS
from argus_core.saving.config import CONFIG


@dataclass(frozen=True)
class Source:
    """A folder with config.json; its other files too, or else they are fetched from ``repository`` when asked for.

    The folder of a repository is one of the hub's cache, named after the commit.
    """

    folder: Path
    repository: str = ""

    def __str__(self) -> str:
        return f"{self.repository}@{self.folder.name[:7]}" if self.repository else str(self.folder)

    def file(self, name: str) -> Path:
        """The path of a file, of the same commit as config.json; raises ArgusError if it cannot be fetched."""
        if not self.repository:
            return self.folder / name
        return fetch(self.repository, name, self.folder.name)

    def advice(self) -> str:
        """What to do where files are damaged."""
        return f" (to fetch it anew, delete {self.folder.parents[1]})" if self.repository else ""


def find_source(source: str | Path, revision: str | None = None) -> Source:
    """Where an Argus lies; only an ``OWNER/NAME`` that is no path, or ``OWNER/NAME@REVISION``, is asked of the hub.

    A name that is registered in the group ``argus.models`` is a built-in model, unless a folder here is called so.
    """
    path = folder_of(source) if isinstance(source, str) else place(source).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ArgusError(f"revision {revision!r} is of hub ids, and {path} is a folder here; leave it out")
        return Source(path)
    if path.is_file():
        raise ArgusError(f"{path} is a file; give the folder that it lies in")
    if isinstance(source, Path) or not is_hub_id(source):
        hint = unknown("built-in model", str(source), (entry.name for entry in MODELS.entries()))
        raise ArgusError(f"there is no folder {path}; give one that Argus.save wrote, or a hub id OWNER/NAME; {hint}")
    repository, at = split_revision(source)
    if at and revision not in (None, at):
        raise ArgusError(f"{source} names revision {at!r}, and revision={revision!r} another; give one")
    try:
        return Source(fetch(repository, CONFIG, revision or at, newest=True).parent, repository)
    except HubError as error:
        raise ArgusError(f"there is no folder {source} here, and as a hub id: {error}") from error
