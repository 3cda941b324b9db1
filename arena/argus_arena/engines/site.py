"""Where a command was given: what a worker elsewhere needs to work as if it were there."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argus_arena.engines.cells import Cell, Outcome, attempt
from argus_core.common.files import read_json, write_json
from argus_core.errors import ArgusError
from argus_core.plugins.files import PREFIX, register_file, source_of
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS

JOBS = "jobs"
"""The folder of an engine in the folder that a command writes."""


@dataclass(frozen=True)
class Site:
    """The working directory, the settings and the registered files of a command, and a mark in the folder it writes."""

    directory: Path
    environment: Mapping[str, str]
    files: tuple[str, ...]
    mark: Path
    token: str

    @classmethod
    def of(cls, out: Path) -> Site:
        """That of this process, which is about to write into ``out``."""
        settings = {name: value for name, value in os.environ.items() if name.startswith("ARGUS_")}
        mark = out.absolute() / JOBS / "engine.json"
        if not mark.is_file():
            write_json(mark, {"token": secrets.token_hex(8)})
        return cls(Path.cwd(), settings, _registered_files(), mark, _token(mark))

    def enter(self) -> None:
        """Make this process work as the one that the site is of; raises ArgusError if it lacks the folder."""
        if self.directory.is_dir():  # without it, only addresses and whole paths lead anywhere
            os.chdir(self.directory)
        os.environ.update(self.environment)
        if not self.mark.is_file() or _token(self.mark) != self.token:
            raise ArgusError(
                f"the worker on {socket.gethostname()} has not the same {self.mark.parent.parent}: workers and the "
                "command need one folder that all of them see, on a shared file system or in an object store"
            )
        for spec in self.files:
            register_file(spec)


def attempt_at(site: Site, cell: Cell) -> Outcome:
    """Do the work of a cell in a worker."""
    try:
        site.enter()
    except ArgusError as error:
        return Outcome(failure=str(error))
    return attempt(cell)


def _token(mark: Path) -> str:
    return str(read_json(mark, "remove it")["token"])


def _registered_files() -> tuple[str, ...]:
    """The specs of all objects that were registered from files, such as those of ``--plugin``."""
    specs = []
    for registry in (TASKS, BACKBONES, PROTOCOLS, HEADS):
        for entry in registry.entries():
            module, _, name = entry.value.partition(":")
            if module.startswith(PREFIX) and (source := source_of(entry.load())):
                specs.append(f"{source[0]}:{name}")
    return tuple(specs)
