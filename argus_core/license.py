"""Which terms the code, the weights and everything computed from them are under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class License:
    """One set of terms; ``outputs_covered``: they bind what is computed or trained from the work too."""

    id: str
    name: str
    commercial: bool
    outputs_covered: bool
    note: str


APACHE = License("apache-2.0", "Apache License 2.0", True, False, "Keep the notices.")
MIT = License("mit", "MIT License", True, False, "Keep the notice.")
BSD = License("bsd-3-clause", "BSD 3-Clause License", True, False, "Keep the notice.")
NONCOMMERCIAL = License(
    "cc-by-nc-4.0", "Creative Commons Attribution-NonCommercial 4.0", False, True, "No commercial use."
)
EUPE = License(
    "fair-noncommercial-research-license",
    "FAIR Noncommercial Research License",
    False,
    True,
    "Research only; outputs and derivative works are covered, so heads trained on these weights too.",
)
UNKNOWN = License(
    "unknown",
    "unknown terms",
    False,
    True,
    "Nobody stated the terms; find them out before passing anything on.",
)
_KNOWN = {record.id: record for record in (APACHE, MIT, BSD, NONCOMMERCIAL, EUPE, UNKNOWN)}


def find_license(id: str | None) -> License:
    """The record of a licence identifier as model hubs write it; unlisted terms count as non-commercial."""
    if not id:
        return UNKNOWN
    unlisted = License(id.lower(), id, False, True, "Argus does not know these terms; read them.")
    return _KNOWN.get(id.lower(), unlisted)


def most_restrictive(licenses: Iterable[License]) -> License:
    """The terms that bind a work made from all of these; the first of equals, Apache-2.0 of none."""
    return min(licenses, key=lambda terms: (terms.commercial, not terms.outputs_covered), default=APACHE)
