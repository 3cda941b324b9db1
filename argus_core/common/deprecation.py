"""Renamed names: they work until a stated version, with a warning that says what to use instead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

__all__ = ["ArgusDeprecationWarning", "Moved", "moved"]


class ArgusDeprecationWarning(FutureWarning):
    """Something will be removed in a stated version; shown by default, unlike DeprecationWarning."""


@dataclass(frozen=True)
class Moved:
    """The new place of a name: ``to`` is a name beside it or ``package.module:name``; versions are of argus-perception.

    Between ``since`` and ``removed_in`` are two minor versions or more: docs/versions.md.
    """

    to: str
    since: str
    removed_in: str


def _warn(what: str, new: Moved) -> None:
    """Warn that ``what`` was renamed, at the place that called the caller."""
    text = f"{what} is deprecated since argus-perception {new.since} and gone in {new.removed_in}; use {new.to}"
    warnings.warn(text, ArgusDeprecationWarning, stacklevel=3)


class MovedNames:
    """The ``__getattr__`` of a module for its renamed ``names``."""

    def __init__(self, module: str, names: Mapping[str, Moved]) -> None:
        self.module, self.names = module, MappingProxyType(dict(names))

    def __call__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(f"module {self.module!r} has no attribute {name!r}")
        _warn(f"{self.module}.{name}", self.names[name])
        home, _, target = self.names[name].to.rpartition(":")
        return getattr(import_module(home or self.module), target)


def moved(module: str, names: Mapping[str, Moved]) -> MovedNames:
    """``__getattr__ = moved(__name__, {"OLD": Moved("NEW", since="0.2", removed_in="0.4")})`` at a module's end."""
    return MovedNames(module, names)


RENAMED: Mapping[str, Mapping[str, Moved]] = {"head": {}, "task": {}, "backbone": {}, "protocol": {}}
"""Old full names by kind, as in ``"head": {"detect.old": Moved("detect.new", since="0.2", removed_in="0.4")}``."""


def renamed(kind: str, name: str) -> str | None:
    """The new full name of a renamed one, with a warning; None for a name that was not renamed."""
    names = RENAMED.get(kind, {})
    old = name if name in names else next((full for full in names if full.partition(".")[2] == name), None)
    if old is None:
        return None
    _warn(f"{kind} {old!r}", names[old])
    return names[old].to
