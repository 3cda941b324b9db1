"""Installed distributions: their entry points, the requirements that they lack, and the selection by environment."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions, version
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from argus_core.errors import ArgusError
from argus_core.registry.loading import import_object, shielded

OWN = "argus-perception"
"""The distribution of Argus itself."""
ONLY = "ARGUS_PLUGINS"
WITHOUT = "ARGUS_DISABLE"
_HEADER = re.compile(r"^(Name|Version):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A registered name: where its object is defined, and the distribution that declares it."""

    name: str
    value: str
    distribution: str
    version: str
    target: Any = None

    def __str__(self) -> str:
        return f"{self.name} = {self.value} ({self.origin})"

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """Import and return the object; an error names this entry and its distribution."""
        if self.target is not None:
            return self.target
        is_own = self.distribution == OWN
        if not is_own and (reason := conflict(self.distribution)):
            raise ArgusError(f"{self} is refused: {self.distribution} {reason}")
        with shielded(f"{self} could not be imported", lambda: "" if is_own else advice(self.distribution)):
            return import_object(self.value)


def find_entries(group: str) -> tuple[Entry, ...]:
    """The entry points of a group, in order of name; distributions whose metadata cannot be read are left out."""
    return _entries(group, _Path.now())


def damaged(prefix: str) -> list[str]:
    """What is wrong with distributions whose entry points, in groups that begin with ``prefix``, cannot be read."""
    return [found.reason for found in _scan(_family(prefix), _Path.now()) if isinstance(found, _Damage)]


def unread(prefix: str, groups: Collection[str]) -> list[tuple[str, str]]:
    """Distribution and group of entry points whose group begins with ``prefix`` but is not one of ``groups``."""
    known = [found for found in _scan(_family(prefix), _Path.now()) if isinstance(found, _Points)]
    return sorted(
        {
            (f"{found.name} {found.version}".strip(), point.group)
            for found in known
            for point in found.points
            if point.group.startswith(prefix) and point.group not in groups
        }
    )


class _Points(NamedTuple):
    """Entry points of a distribution."""

    name: str
    version: str
    points: list[EntryPoint]


class _Damage(NamedTuple):
    """Why the entry points of a distribution cannot be read."""

    reason: str


class _Path(NamedTuple):
    """Where Python looks for packages, with what changes when one is installed or removed there."""

    folders: tuple[str, ...]
    changed: tuple[tuple[int, int], ...]

    @classmethod
    def now(cls) -> _Path:
        """The path as it is."""
        return cls(tuple(sys.path), tuple(map(_changed, sys.path)))


def _changed(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder or os.curdir)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _family(group: str) -> str:
    """What the names of related groups begin with: ``argus.`` of ``argus.heads``."""
    return f"{group.partition('.')[0]}."


@functools.lru_cache(maxsize=32)
def _entries(group: str, path: _Path) -> tuple[Entry, ...]:
    entries = [
        Entry(point.name, point.value, found.name, found.version)
        for found in _scan(_family(group), path)
        if isinstance(found, _Points)
        for point in found.points
        if point.group == group
    ]
    return tuple(sorted(entries, key=lambda entry: (entry.name, entry.distribution)))


@functools.lru_cache(maxsize=2)
def _scan(prefix: str, path: _Path) -> tuple[_Points | _Damage, ...]:
    """Each distribution with entry points in groups that begin with ``prefix``, or why these cannot be read.

    Read once for a ``path``: a name is looked up hundreds of times in a run, among thousands of distributions.
    """
    # importlib.metadata.entry_points() raises for all of them if one file is damaged.
    seen: set[str] = set()
    found: list[_Points | _Damage] = []
    for candidate in distributions():
        try:
            points = [point for point in candidate.entry_points if point.group.startswith(prefix)]
            if not points:
                continue
            name, version = _identity(candidate)
            if canonicalize_name(name) not in seen:  # else hidden by one of that name earlier on the path, as for pip
                seen.add(canonicalize_name(name))
                found.append(_Points(name, version, points))
        except Exception as error:
            if _may_declare(candidate, prefix):
                reason = f"entry points of {_label(candidate)} cannot be read: {type(error).__name__}: {error}"
                found.append(_Damage(reason))
    return tuple(found)


def _may_declare(distribution: Distribution, prefix: str) -> bool:
    """Whether the text of damaged entry points has ``prefix``, or cannot be read at all."""
    try:
        return prefix in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return True


def _identity(distribution: Distribution) -> tuple[str, str]:
    # A parser of e-mail would take longer than all the rest of a listing.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = dict(_HEADER.findall(text.partition("\n\n")[0]))
    return headers.get("Name") or "unknown distribution", headers.get("Version", "")


def _label(distribution: Distribution) -> str:
    try:
        return " ".join(_identity(distribution))
    except Exception:
        return f"a distribution in {distribution.locate_file('')}"


@dataclass(frozen=True)
class Unmet:
    """A requirement such as ``name<2``, and the version that is installed instead; empty if there is none."""

    requirement: str
    here: str

    def __str__(self) -> str:
        return f"{self.requirement} ({f'{self.here} is installed' if self.here else 'not installed'})"


def unmet(name: str) -> list[Unmet]:
    """Requirements of an installed distribution that are not met, in its own order, without those of extras."""
    try:
        texts = distribution(name).requires or []
    except (PackageNotFoundError, ValueError):
        return []
    return [missing for text in texts if (missing := _check(text)) is not None]


def conflict(name: str) -> str:
    """Why a distribution is incompatible with the installed Argus, and what to do; empty if it is not."""
    from packaging.requirements import Requirement

    for missing in unmet(name):
        if missing.here and canonicalize_name(Requirement(missing.requirement).name) == OWN:
            return (
                f"requires {missing.requirement}, but {OWN} {missing.here} is installed; "
                f"pip install -U '{missing.requirement}', or a version of {name} made for {missing.here}"
            )
    return ""


def advice(name: str) -> str:
    """One sentence about the unmet requirements of a distribution; empty if there are none."""
    missing = unmet(name)
    if not missing:
        return ""
    requirements = " ".join(f"'{requirement.requirement}'" for requirement in missing)
    return f"{name} requires {', '.join(map(str, missing))}: pip install {requirements}"


def _check(text: str) -> Unmet | None:
    from packaging.requirements import Requirement  # a list of what is installed does not need it

    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return None
        here = _version(requirement.name)
        met = here and requirement.specifier.contains(here, prereleases=True)
    except ValueError:
        return None  # an unusual text of an old tool, which cannot be checked
    return None if met else Unmet(f"{requirement.name}{requirement.specifier}", here)


def _version(name: str) -> str:
    try:
        return version(name) or ""
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Selection:
    """Names of distributions or entries: ``only`` these of other packages (None: all), ``without`` these of any."""

    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls) -> Selection:
        """The selection of the two variables; without ARGUS_PLUGINS everything, with an empty one only Argus itself."""
        only = os.environ.get(ONLY)
        return cls(None if only is None else _names(only), _names(os.environ.get(WITHOUT, "")))

    def excludes(self, entry: Entry) -> str:
        """The setting that leaves this entry out, in words; empty if there is none."""
        if any(_matches(word, entry.name, entry.distribution) for word in self.without):
            return f"{WITHOUT}={','.join(self.without)}"
        if self.only is None or entry.distribution == OWN:
            return ""
        if any(_matches(word, entry.name, entry.distribution) for word in self.only):
            return ""
        return f"{ONLY}={','.join(self.only)}, which does not name it"

    def unmatched(self, entries: Iterable[Entry]) -> list[tuple[str, str]]:
        """Variable and name of every selected name that matches no entry."""
        known = [(entry.name, entry.distribution) for entry in entries]
        words = [*((ONLY, word) for word in self.only or ()), *((WITHOUT, word) for word in self.without)]
        return [(variable, word) for variable, word in words if not any(_matches(word, *entry) for entry in known)]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _matches(word: str, name: str, distribution: str) -> bool:
    return word == name or canonicalize_name(word) == canonicalize_name(distribution)
