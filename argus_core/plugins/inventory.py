"""What every installed distribution adds to Argus, what of it fails and why, and advice for its author."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from argus_core.errors import ArgusError, unknown
from argus_core.plugins.hooks import load_plugins
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS, Entry, Registry
from argus_core.registry.distributions import OWN, Selection, advice, conflict, damaged, unread
from argus_core.registry.registry import MODELS, PLUGINS, clash

SLOW = 1.0
"""Seconds above which the import of a plugin's own code causes a warning."""
_SHARED = ("torch", "torchvision", "timm", "scipy.optimize", "argus_core.detection.dense", "argus_core.backbones")
"""Imported before plugins are timed, since nearly every command imports them anyway."""
_REGISTRIES = {
    "heads": HEADS,
    "backbones": BACKBONES,
    "tasks": TASKS,
    "protocols": PROTOCOLS,
    "models": MODELS,
    "plugins": PLUGINS,
}


@dataclass
class Package:
    """What one distribution adds; ``hooks`` and ``data_sets`` stay empty where nothing was imported."""

    name: str
    version: str
    heads: list[str] = field(default_factory=list)
    backbones: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    protocols: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    data_sets: list[str] = field(default_factory=list)
    disabled: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    conflict: bool = False
    """Whether it is incompatible with the installed Argus, so that nothing of it is imported."""


@dataclass
class Inventory:
    """All packages, Argus itself first, and faults of no particular package."""

    packages: list[Package]
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing failed."""
        return not self.failed and not any(package.failed for package in self.packages)


def take_inventory(load: bool = True) -> Inventory:
    """List what is installed by distribution; ``load`` also imports all plugins and the entries of other packages.

    Without it only metadata are read, and hooks, data sets and failing imports stay unknown.
    """
    packages: dict[str, Package] = {}
    entries = {kind: registry.entries() for kind, registry in _REGISTRIES.items()}
    disabled = {kind: registry.disabled() for kind, registry in _REGISTRIES.items()}
    for kind, registry in _REGISTRIES.items():
        for entry in entries[kind]:
            getattr(_package(packages, entry), kind).append(entry.name)
        for entry, setting in disabled[kind].items():
            _package(packages, entry).disabled[f"{registry.kind} {entry.name}"] = setting
    inventory = Inventory(sorted(packages.values(), key=lambda package: (package.name != OWN, package.name)))
    inventory.failed |= {f"metadata {number}": text for number, text in enumerate(damaged("argus."), 1)}
    for package in inventory.packages:
        _check_requirements(package)
    for kind in ("heads", "backbones", "tasks", "protocols", "models"):
        _check_names(packages, _REGISTRIES[kind].kind, entries[kind])
    everything = [entry for kind in _REGISTRIES for entry in (*entries[kind], *disabled[kind])]
    inventory.warnings = _misspelt_groups() + _unmatched_names(everything)
    if load:
        _load(inventory, packages, entries)
    return inventory


def _package(packages: dict[str, Package], entry: Entry) -> Package:
    return packages.setdefault(entry.distribution, Package(entry.distribution, entry.version))


def _check_requirements(package: Package) -> None:
    if reason := conflict(package.name):
        package.conflict = True
        package.failed[f"{package.name} {package.version}"] = reason
    elif missing := advice(package.name):
        package.warnings.append(missing)


def _check_names(packages: dict[str, Package], kind: str, entries: Sequence[Entry]) -> None:
    for name, group in groupby(entries, key=lambda entry: entry.name):
        namesakes = list(group)
        for entry in namesakes if len(namesakes) > 1 else ():
            if entry.distribution != OWN:
                packages[entry.distribution].failed[f"{kind} {name}"] = clash(namesakes)


def _misspelt_groups() -> list[str]:
    groups = [registry.group for registry in _REGISTRIES.values()]
    return [
        f"{distribution} declares entry points that nobody reads: {unknown('group', group, groups)}"
        for distribution, group in unread("argus.", groups)
    ]


def _unmatched_names(entries: Sequence[Entry]) -> list[str]:
    known = {name for entry in entries for name in (entry.name, entry.distribution)}
    unmatched = Selection.from_environment().unmatched(entries)
    return [f"{variable}: {unknown('distribution or entry', name, known)}" for variable, name in unmatched]


def _load(inventory: Inventory, packages: dict[str, Package], entries: Mapping[str, Sequence[Entry]]) -> None:
    kinds = ("heads", "backbones", "tasks", "protocols")
    foreign = [(_REGISTRIES[kind], entry) for kind in kinds for entry in entries[kind] if entry.distribution != OWN]
    for name in _SHARED if foreign else ():
        importlib.import_module(name)
    for registry, entry in foreign:
        package = packages[entry.distribution]
        if not package.conflict:
            try:
                _check_kind(registry, entry, _load_entry(entry, package))
            except ArgusError as error:
                package.failed.setdefault(f"{registry.kind} {entry}", str(error).removeprefix(f"{entry} "))
    _load_hooks(inventory, packages, entries["plugins"])


def _load_entry(entry: Entry, package: Package) -> Any:
    """Import an entry, and warn if it prints anything or takes long."""
    output = io.BytesIO()
    start = time.perf_counter()
    try:
        writer = io.TextIOWrapper(output, "utf-8", "replace", write_through=True)
        with contextlib.redirect_stderr(writer):  # where ``Entry.load`` sends what is printed
            return entry.load()
    finally:
        seconds = time.perf_counter() - start
        text = output.getvalue().decode("utf-8", "replace").strip()
        if text:
            package.warnings.append(f"importing {entry.name} printed {text[:60]!r}{'...' if text[60:] else ''}")
        if seconds > SLOW and entry.distribution != OWN:
            package.warnings.append(
                f"importing {entry.name} took {seconds:.1f} s; import what is slow inside functions"
            )


def _check_kind(registry: Registry, entry: Entry, loaded: Any) -> None:
    from argus_core.head import Head
    from argus_core.protocols import Protocol
    from argus_core.tasks import Task

    base: type | None = {HEADS: Head, TASKS: Task}.get(registry)
    if base is not None and not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise ArgusError(f"is {loaded!r}, not a subclass of argus_core.{base.__name__}")
    if registry is PROTOCOLS and not isinstance(loaded, Protocol):
        raise ArgusError(f"is {loaded!r}, not a Protocol")
    if registry is BACKBONES and not callable(loaded):
        raise ArgusError(f"is {loaded!r}, not a function that makes a Backbone")
    if isinstance(loaded, type) and issubclass(loaded, Head) and not entry.name.startswith(f"{loaded.solves.name}."):
        raise ArgusError(f"solves {loaded.solves.name!r}; name it {loaded.solves.name}.NAME")


def _load_hooks(inventory: Inventory, packages: dict[str, Package], entries: Sequence[Entry]) -> None:
    plugins = load_plugins(lambda entry: _load_entry(entry, packages[entry.distribution]))
    data_sets = plugins.datasets()
    plugins.layouts()  # for their failures
    for entry in plugins.loaded:
        package = packages[entry.distribution]
        package.hooks[entry.name] = plugins.hooks_of(entry)
        package.data_sets += sorted(name for name in data_sets if plugins.owners[name] == str(entry))
        package.warnings += [
            f"{name} of plugin {entry.name} lacks the marker @argus_core.hookimpl, so nobody calls it"
            for name in plugins.unmarked(entry)
        ]
    owners = {str(entry): packages[entry.distribution] for entry in entries}
    for key, reason in plugins.failed.items():
        if key not in owners:
            inventory.failed[key] = reason
        elif not owners[key].conflict:
            owners[key].failed[f"plugin {key}"] = reason
