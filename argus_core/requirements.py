"""What a distribution requires and this environment does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement

from argus_core.distributions import OWN, canonical


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
        if missing.here and canonical(Requirement(missing.requirement).name) == OWN:
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
