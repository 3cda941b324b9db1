"""Entry points of installed distributions, read so that one with damaged metadata harms no other."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions

OWN = "argus-perception"
"""The distribution that Argus itself is."""


@dataclass(frozen=True)
class Declared:
    """One entry point and the distribution that declares it."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


def declared(group: str) -> list[Declared]:
    """The entry points of a group; distributions whose metadata cannot be read are left out."""
    return [point for found in _scan(group) if isinstance(found, list) for point in found]


def damaged(prefix: str) -> list[str]:
    """What is wrong with distributions whose entry points, in groups that begin with ``prefix``, cannot be read."""
    return [found for found in _scan(prefix) if isinstance(found, str)]


def unread(prefix: str, groups: Collection[str]) -> list[tuple[str, str]]:
    """Distribution and group of entry points whose group begins with ``prefix`` but is none of ``groups``."""
    found: dict[tuple[str, str], None] = {}
    for distribution in distributions():
        with contextlib.suppress(Exception):  # what cannot be read is told by ``damaged``
            if prefix in (distribution.read_text("entry_points.txt") or ""):
                own = {point.group for point in distribution.entry_points}
                found |= {(_label(distribution), g): None for g in own if g.startswith(prefix) and g not in groups}
    return sorted(found)


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503): ``My_Head`` and ``my-head`` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _scan(group: str) -> Iterator[list[Declared] | str]:
    # importlib.metadata.entry_points() raises for all of them if one file is damaged, and parses every file.
    seen: set[str] = set()
    for distribution in distributions():
        try:
            if group not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name, version = _identity(distribution)
            if canonical(name) in seen:  # hidden by one of that name earlier on the path, as for pip
                continue
            seen.add(canonical(name))
            points = distribution.entry_points.select(group=group)
            yield [Declared(group, point.name, point.value, name, version) for point in points]
        except Exception as error:
            yield f"entry points of {_label(distribution)} cannot be read: {type(error).__name__}: {error}"


def _identity(distribution: Distribution) -> tuple[str, str]:
    # Headers only: parsing a long description with them takes longer than all the rest of a listing.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = HeaderParser().parsestr(text.partition("\n\n")[0])
    return headers["Name"] or "unknown distribution", headers["Version"] or ""


def _label(distribution: Distribution) -> str:
    try:
        return " ".join(_identity(distribution))
    except Exception:
        return f"a distribution in {distribution.locate_file('')}"
