"""Registered names that were given up for others; what was saved or written under them still works for a while."""

from __future__ import annotations

from collections.abc import Mapping

from argus_core.deprecation import Moved, deprecated

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
