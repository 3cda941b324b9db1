"""Which terms the code, the weights and everything computed from them are under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from argus_core.errors import ArgusError, unknown

__all__ = ["License", "Licenses", "find_license", "most_restrictive", "require"]


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
PUBLIC = License("cc0-1.0", "Creative Commons Zero 1.0", True, False, "No conditions.")
ATTRIBUTION = License("cc-by-4.0", "Creative Commons Attribution 4.0", True, False, "Name the authors.")
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
RESEARCH = License(
    "research-data",
    "photographs for research",
    False,
    False,
    "Learned from photographs that were published for research; whoever sells what it says must judge that.",
)
UNKNOWN = License(
    "unknown",
    "unknown terms",
    False,
    True,
    "Nobody stated the terms; find them out before passing anything on.",
)
LEVELS = ("permissive",)
"""What ``require`` can hold a work to."""
_ALL = (APACHE, MIT, BSD, PUBLIC, ATTRIBUTION, NONCOMMERCIAL, EUPE, RESEARCH, UNKNOWN)
_KNOWN = {record.id: record for record in _ALL}


def find_license(id: str | None) -> License:
    """The record of a licence identifier as model hubs write it; unlisted terms count as non-commercial."""
    if not id:
        return UNKNOWN
    unlisted = License(id.lower(), id, False, True, "Argus does not know these terms; read them.")
    return _KNOWN.get(id.lower(), unlisted)


def most_restrictive(licenses: Iterable[License]) -> License:
    """The terms that bind a work made from all of these; the first of equals, Apache-2.0 of none."""
    return min(licenses, key=lambda terms: (terms.commercial, not terms.outputs_covered), default=APACHE)


class Licenses(Mapping[str, License]):
    """The terms of every part of a work, by the part's name; printed once each, those that bind the whole last."""

    def __init__(self, parts: Mapping[str, License]) -> None:
        self._parts = dict(parts)

    def __getitem__(self, part: str) -> License:
        return self._parts[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def binding(self) -> License:
        """The terms that the whole is under."""
        return most_restrictive(self.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: the identifier of every part, and the binding terms in full."""
        return {"parts": {part: terms.id for part, terms in self.items()}, "binding": asdict(self.binding)}

    def by_terms(self) -> dict[License, list[str]]:
        """The parts that each set of terms binds."""
        parts: dict[License, list[str]] = {}
        for part, terms in self.items():
            parts.setdefault(terms, []).append(part)
        return parts

    def in_words(self) -> str:
        """One line, as in ``code, backbone apache-2.0; head masks unknown``."""
        return "; ".join(f"{_listed(parts)} {terms.id}" for terms, parts in self.by_terms().items())

    def __str__(self) -> str:
        lines = [
            f"{terms.name} ({terms.id}): {_listed(parts)}\n    {terms.note}" for terms, parts in self.by_terms().items()
        ]
        return "\n".join([*lines, f"binding: {self.binding.name} ({self.binding.id})"])


def _listed(parts: Iterable[str]) -> str:
    """As in ``backbone, heads kinds and masks``: heads, and data of heads, together."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        kind, space, name = part.rpartition(" ")
        groups.setdefault(kind if space else part, []).extend([name] if space else [])
    return ", ".join(_grouped(kind, names) for kind, names in groups.items())


def _grouped(kind: str, names: Sequence[str]) -> str:
    if not names:
        return kind
    noun = f"{kind}s" if kind == "head" and len(names) > 1 else kind
    return f"{noun} {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"


class Licensed(Protocol):
    """Whatever can tell the terms of its parts, such as an Argus."""

    def licenses(self) -> Mapping[str, License]:
        """Terms by part."""
        ...


def work_licenses(backbone: str, heads: Mapping[str, Mapping[str, Any]]) -> Licenses:
    """The terms of code, backbone and heads, from the backbone's licence identifier and the heads' records.

    A head is under the terms of the weights it was trained on, by default the backbone's, and of its training data,
    a part of its own where the record states them.
    """
    parts = {"code": APACHE, "backbone": find_license(backbone)}
    for name, record in heads.items():
        parts[f"head {name}"] = find_license(_stated(record) or backbone)
        data = _stated(record.get("data"))
        if data:
            parts[f"data of {name}"] = find_license(data)
    return Licenses(parts)


def check_level(level: str) -> None:
    """Raise ArgusError for a level that ``require`` does not know."""
    if level not in LEVELS:
        raise unknown("level of licences", level, LEVELS)


def require(work: Licensed | Mapping[str, License | Mapping[str, Any]], level: str | None) -> None:
    """Raise ArgusError, naming every part, unless all terms are of a ``level``; None allows any.

    ``permissive`` are terms that allow commercial use. ``work`` is an Argus, or by part either terms or a record
    that states them under ``license``.
    """
    if level is None:
        return
    check_level(level)
    groups = _refused(work).by_terms().items()
    if groups:
        named = [f"{_listed(bound)}: {terms.name} ({terms.id})" for terms, bound in groups]
        raise ArgusError(
            f"not permissive: {'; '.join(named)}; choose other weights, heads or data, "
            "or leave out --require-license if these terms allow what you do"
        )


def refused_heads(work: Licensed, level: str | None) -> dict[str, str]:
    """The heads that ``require`` would refuse, each with why; empty if what they all stand on is refused too."""
    if level is None:
        return {}
    check_level(level)
    refused = _refused(work)
    if any(" " not in part for part in refused):
        return {}
    return {part.rpartition(" ")[2]: f"{part}: {terms.name} ({terms.id})" for part, terms in refused.items()}


def _refused(work: Licensed | Mapping[str, License | Mapping[str, Any]]) -> Licenses:
    """The parts whose terms allow no commercial use."""
    parts = work if isinstance(work, Mapping) else work.licenses()
    found = Licenses(
        {part: terms if isinstance(terms, License) else find_license(_stated(terms)) for part, terms in parts.items()}
    )
    return Licenses({part: terms for part, terms in found.items() if not terms.commercial})


def _stated(record: Any) -> str | None:
    """The identifier of the terms that a record states, as text or as a record of a License."""
    terms = record.get("license") if isinstance(record, Mapping) else None
    stated = terms.get("id") if isinstance(terms, Mapping) else terms
    return str(stated) if stated else None
