"""Registries of names: read from package metadata, and imported only when used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from argus_core.common.deprecation import renamed
from argus_core.errors import ArgusError, unknown
from argus_core.registry.distributions import OWN, Entry, Selection, find_entries


class Registry:
    """The names of one entry-point group plus those registered by hand; listing imports nothing."""

    def __init__(self, group: str, kind: str) -> None:
        self.group = group
        self.kind = kind
        self._registered: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """All entries that are not disabled, duplicates included, in order of name."""
        selection = Selection.from_environment()
        installed = [entry for entry in find_entries(self.group) if not selection.excludes(entry)]
        return sorted([*installed, *self._registered.values()], key=_order)

    def disabled(self) -> dict[Entry, str]:
        """Installed entries that ARGUS_PLUGINS or ARGUS_DISABLE leave out, each with that setting."""
        selection = Selection.from_environment()
        settings = {entry: selection.excludes(entry) for entry in find_entries(self.group)}
        return {entry: setting for entry, setting in settings.items() if setting}

    def register(self, name: str, target: Any, origin: str = "registered by hand") -> None:
        """Add an object by hand, as in a notebook; ``origin`` takes the place of a distribution.

        A name that is taken is refused, unless by an object of the same module and qualified name: a cell run again.
        """
        owner = target if hasattr(target, "__qualname__") else type(target)
        entry = Entry(name, f"{owner.__module__}:{owner.__qualname__}", origin, "", target)
        taken = next((entry for entry in self.entries() if entry.name == name), None)
        if taken is not None and (self._registered.get(name) != taken or taken.value != entry.value):
            raise ArgusError(f"{self.kind} name {name!r} is taken by {taken}; choose another")
        self._registered[name] = entry

    def unregister(self, name: str) -> None:
        """Remove a name added by ``register``."""
        if name not in self._registered:
            raise unknown(f"{self.kind} registered by hand", name, self._registered)
        del self._registered[name]

    def find(self, name: str) -> Entry:
        """The entry called ``name``, or the only one whose part after the first dot is ``name``."""
        entries = self.entries()
        hits = _named(name, entries)
        if not hits and (new_name := renamed(self.kind, name)):
            return self.find(new_name)
        if not hits:
            raise self._missing(name, {entry.name for entry in entries})
        if len({entry.name for entry in hits}) > 1:
            raise ArgusError(f"{self.kind} {name!r} is ambiguous: {', '.join(e.name for e in hits)}; use the full name")
        if len(hits) > 1:
            raise ArgusError(f"{self.kind} {hits[0].name!r} {clash(hits)}")
        return hits[0]

    def load(self, name: str) -> Any:
        """Import the object called ``name``."""
        return self.find(name).load()

    def _missing(self, name: str, known: Iterable[str]) -> ArgusError:
        disabled = self.disabled()
        for entry in _named(name, disabled):
            return ArgusError(f"{self.kind} {entry} is disabled by {disabled[entry]}; change or unset that variable")
        parts = {full: full.partition(".")[2] or full for full in known}
        alike = difflib.get_close_matches(name, set(parts.values()), cutoff=0.5)
        near = [] if "." in name else sorted(full for full, part in parts.items() if part in alike)
        return unknown(self.kind, name, parts, near)


def clash(entries: Sequence[Entry]) -> str:
    """What is wrong with entries that share a name, and what to do."""
    other = next((entry.distribution for entry in entries if entry.distribution != OWN), OWN)
    return (
        f"is provided {'twice' if len(entries) == 2 else f'{len(entries)} times'}: {'; '.join(map(str, entries))}; "
        f"uninstall all but one or leave them out, as by ARGUS_DISABLE={other}"
    )


def _named(name: str, entries: Iterable[Entry]) -> list[Entry]:
    exact = [entry for entry in entries if entry.name == name]
    return exact or [entry for entry in entries if entry.name.partition(".")[2] == name]


def _order(entry: Entry) -> tuple[str, str]:
    return entry.name, entry.distribution


HEADS = Registry("argus.heads", "head")
BACKBONES = Registry("argus.backbones", "backbone")
TASKS = Registry("argus.tasks", "task")
PROTOCOLS = Registry("argus.protocols", "protocol")
PLUGINS = Registry("argus.plugins", "plugin")
MODELS = Registry("argus.models", "model")
