"""Things looked up by name: read from package metadata, imported only when used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from argus_core.errors import ArgusError, unknown


@dataclass(frozen=True)
class Entry:
    """One registered name: where its object lives and which distribution brought it."""

    name: str
    value: str
    distribution: str
    version: str
    target: Any = None

    def __str__(self) -> str:
        return f"{self.name} = {self.value} ({self.distribution} {self.version})"

    def load(self) -> Any:
        """Import and return the object; a failure names this entry and its distribution, and harms no other."""
        if self.target is not None:
            return self.target
        module, _, attribute = self.value.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for part in filter(None, attribute.split(".")):
                loaded = getattr(loaded, part)
        except (Exception, SystemExit) as error:
            if os.environ.get("ARGUS_DEBUG") == "1":
                raise
            raise ArgusError(
                f"{self} could not be imported: {type(error).__name__}: {error}; set ARGUS_DEBUG=1 for the traceback"
            ) from error
        return loaded


class Registry:
    """The names of one entry-point group plus those registered by hand; listing imports nothing."""

    def __init__(self, group: str, kind: str) -> None:
        self.group = group
        self.kind = kind
        self._registered: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """Every entry, duplicates included, in order of name."""
        found = [_entry(point) for point in entry_points(group=self.group)]
        return sorted([*found, *self._registered.values()], key=lambda entry: (entry.name, entry.distribution))

    def register(self, name: str, target: Any) -> None:
        """Add an object by hand, as in a notebook; a name that is taken is refused."""
        taken = next((entry for entry in self.entries() if entry.name == name), None)
        if taken is not None:
            raise ArgusError(f"{self.kind} name {name!r} is taken by {taken}; choose another")
        value = f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', target)}"
        self._registered[name] = Entry(name, value, "registered by hand", "", target)

    def unregister(self, name: str) -> None:
        """Remove a name added by ``register``."""
        self._registered.pop(name)

    def find(self, name: str) -> Entry:
        """The entry called ``name``, or the only one whose part after the first dot is ``name``."""
        entries = self.entries()
        hits = [entry for entry in entries if entry.name == name]
        hits = hits or [entry for entry in entries if entry.name.partition(".")[2] == name]
        if not hits:
            full = {entry.name for entry in entries}
            raise unknown(self.kind, name, full if "." in name else {n.partition(".")[2] or n for n in full})
        if len({entry.name for entry in hits}) > 1:
            raise ArgusError(f"{self.kind} {name!r} is ambiguous: {', '.join(e.name for e in hits)}; use the full name")
        if len(hits) > 1:
            raise ArgusError(
                f"{self.kind} {hits[0].name!r} is provided twice: {'; '.join(map(str, hits))}; uninstall one of them"
            )
        return hits[0]

    def load(self, name: str) -> Any:
        """Import the object called ``name``."""
        return self.find(name).load()


def _entry(point: EntryPoint) -> Entry:
    distribution = point.dist
    if distribution is None:
        return Entry(point.name, point.value, "unknown distribution", "")
    return Entry(point.name, point.value, distribution.metadata["Name"], distribution.version)


def iter_plugins() -> Iterator[Entry]:
    """The entries of the plugin group, in order of name."""
    yield from Registry("argus.plugins", "plugin").entries()


HEADS = Registry("argus.heads", "head")
BACKBONES = Registry("argus.backbones", "backbone")
TASKS = Registry("argus.tasks", "task")
PROTOCOLS = Registry("argus.protocols", "protocol")
