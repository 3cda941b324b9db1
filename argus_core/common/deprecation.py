"""Names that moved or were given up: they work until a stated version, with a warning that says what to use instead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

__all__ = ["ArgusDeprecationWarning", "Moved", "moved"]


class ArgusDeprecationWarning(FutureWarning):
    """Something will be gone in a stated version; shown by default, as those who must act run other people's code."""


@dataclass(frozen=True)
class Moved:
    """Where a name went: ``to`` is a name beside it or ``package.module:name``; versions are of argus-perception.

    Between ``since`` and ``removed_in`` lie two minor versions or more: docs/versions.md.
    """

    to: str
    since: str
    removed_in: str


def deprecated(what: str, gone: Moved, stacklevel: int = 1) -> None:
    """Warn that ``what`` was renamed; ``stacklevel`` 1 blames whoever called the caller."""
    text = f"{what} is deprecated since argus-perception {gone.since} and gone in {gone.removed_in}; use {gone.to}"
    warnings.warn(text, ArgusDeprecationWarning, stacklevel=stacklevel + 2)


class MovedNames:
    """A module's ``__getattr__``; ``names`` is what it answers for."""

    def __init__(self, module: str, names: Mapping[str, Moved]) -> None:
        self.module, self.names = module, MappingProxyType(dict(names))

    def __call__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(f"module {self.module!r} has no attribute {name!r}")
        deprecated(f"{self.module}.{name}", self.names[name])
        home, _, target = self.names[name].to.rpartition(":")
        return getattr(import_module(home or self.module), target)


def moved(module: str, names: Mapping[str, Moved]) -> MovedNames:
    """``__getattr__ = moved(__name__, {"OLD": Moved("NEW", since="0.2", removed_in="0.4")})`` at a module's end."""
    return MovedNames(module, names)


RENAMED: Mapping[str, Mapping[str, Moved]] = {"head": {}, "task": {}, "backbone": {}, "protocol": {}}
"""Old full names by kind, as in ``"head": {"detect.old": Moved("detect.new", since="0.2", removed_in="0.4")}``."""


def renamed(kind: str, name: str) -> str | None:
    """The full name that took the place of ``name``, which warns; None for a name that was never another's."""
    names = RENAMED.get(kind, {})
    old = name if name in names else next((full for full in names if full.partition(".")[2] == name), None)
    if old is None:
        return None
    deprecated(f"{kind} {old!r}", names[old])
    return names[old].to
