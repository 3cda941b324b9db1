"""Which installed entries take part: the environment variables ARGUS_PLUGINS and ARGUS_DISABLE."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from argus_core.distributions import OWN, canonical

ONLY = "ARGUS_PLUGINS"
WITHOUT = "ARGUS_DISABLE"


@dataclass(frozen=True)
class Selection:
    """Names of distributions or entries: ``only`` these of strangers (None: all), ``without`` those of anybody."""

    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls) -> Selection:
        """What the two variables say; an unset ARGUS_PLUGINS selects everything, an empty one no stranger."""
        only = os.environ.get(ONLY)
        return cls(None if only is None else _names(only), _names(os.environ.get(WITHOUT, "")))

    def excludes(self, name: str, distribution: str) -> str:
        """The setting that leaves this entry out, in words; empty if none does."""
        if any(_means(each, name, distribution) for each in self.without):
            return f"{WITHOUT}={','.join(self.without)}"
        if self.only is None or distribution == OWN or any(_means(each, name, distribution) for each in self.only):
            return ""
        return f"{ONLY}={','.join(self.only)}, which does not name it"

    def unmatched(self, entries: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Variable and name of what is named there but matches none of the ``(name, distribution)`` pairs."""
        known = list(entries)
        named = [*((ONLY, each) for each in self.only or ()), *((WITHOUT, each) for each in self.without)]
        return [(variable, each) for variable, each in named if not any(_means(each, *entry) for entry in known)]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _means(word: str, name: str, distribution: str) -> bool:
    return word == name or canonical(word) == canonical(distribution)
