"""Entry points of installed distributions: which take part, what they require, and which cannot be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    for candidate in distributions():
        with contextlib.suppress(Exception):  # what cannot be read is told by ``damaged``
            if prefix in (candidate.read_text("entry_points.txt") or ""):
                own = {point.group for point in candidate.entry_points}
                found |= {(_label(candidate), g): None for g in own if g.startswith(prefix) and g not in groups}
    return sorted(found)


def _scan(group: str) -> Iterator[list[Declared] | str]:
    # importlib.metadata.entry_points() raises for all of them if one file is damaged, and parses every file.
    seen: set[str] = set()
    for candidate in distributions():
        try:
            if group not in (candidate.read_text("entry_points.txt") or ""):
                continue
            name, version = _identity(candidate)
            if canonicalize_name(name) in seen:  # hidden by one of that name earlier on the path, as for pip
                continue
            seen.add(canonicalize_name(name))
            points = candidate.entry_points.select(group=group)
            yield [Declared(group, point.name, point.value, name, version) for point in points]
        except Exception as error:
            yield f"entry points of {_label(candidate)} cannot be read: {type(error).__name__}: {error}"


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


@dataclass(frozen=True)
class Unmet:
    """A requirement as ``name<2``, and the version that is installed instead; empty if there is none."""

    requirement: str
    here: str

    def __str__(self) -> str:
        return f"{self.requirement} ({f'{self.here} is installed' if self.here else 'not installed'})"


def unmet(name: str) -> list[Unmet]:
    """Requirements of an installed distribution that are not met, in its own order; extras are not asked for."""
    try:
        texts = distribution(name).requires or []
    except (PackageNotFoundError, ValueError):
        return []
    return [missing for text in texts if (missing := _check(text)) is not None]


def conflict(name: str) -> str:
    """Why a distribution does not go with the Argus that is installed, and what to do; empty if it does."""
    for missing in unmet(name):
        if missing.here and canonicalize_name(Requirement(missing.requirement).name) == OWN:
            return (
                f"requires {missing.requirement}, but {OWN} {missing.here} is installed; "
                f"pip install -U '{missing.requirement}', or a version of {name} made for {missing.here}"
            )
    return ""


def advice(name: str, missing: Sequence[Unmet]) -> str:
    """One sentence about unmet requirements; empty if there are none."""
    if not missing:
        return ""
    wanted = " ".join(f"'{each.requirement}'" for each in missing)
    return f"{name} requires {', '.join(map(str, missing))}: pip install {wanted}"


def _check(text: str) -> Unmet | None:
    try:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            return None
        here = _version(wanted.name)
        met = here and wanted.specifier.contains(here, prereleases=True)
    except ValueError:
        return None  # written by an old or odd tool: whether it is met cannot be told
    return None if met else Unmet(f"{wanted.name}{wanted.specifier}", here)


def _version(name: str) -> str:
    try:
        return version(name) or ""
    except PackageNotFoundError:
        return ""


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
    return word == name or canonicalize_name(word) == canonicalize_name(distribution)
