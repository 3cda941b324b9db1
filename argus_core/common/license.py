"""The licences of code, weights and data, and of everything computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from argus_core.errors import ArgusError, unknown

__all__ = ["License", "Licenses", "find_license", "most_restrictive", "require"]


@dataclass(frozen=True)
class License:
    """A licence; with ``outputs_covered`` it also applies to what is computed or trained from the work.

    ``link`` is the address of its text, where that is known.
    """

    id: str
    name: str
    commercial: bool
    outputs_covered: bool
    note: str
    link: str = ""


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
    "Research only; outputs and derivative works are covered, so heads trained on these weights too. Whoever passes "
    "them on adds a copy of the licence.",
    "https://github.com/facebookresearch/EUPE/blob/main/LICENSE.md",
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
"""Levels that ``require`` knows."""
_ALL = (APACHE, MIT, BSD, PUBLIC, ATTRIBUTION, NONCOMMERCIAL, EUPE, RESEARCH, UNKNOWN)
_KNOWN = {record.id: record for record in _ALL}


def find_license(id: str | None) -> License:
    """The licence of an identifier as model hubs write it; unknown ones count as non-commercial."""
    if not id:
        return UNKNOWN
    unlisted = License(id.lower(), id, False, True, "Argus does not know these terms; read them.")
    return _KNOWN.get(id.lower(), unlisted)


def most_restrictive(licenses: Iterable[License]) -> License:
    """The licence of a work made from all of these: the first of equals, Apache-2.0 without any."""
    return min(licenses, key=lambda terms: (terms.commercial, not terms.outputs_covered), default=APACHE)


class Licenses(dict[str, License]):
    """The licence of every part of a work, by the name of the part; the text ends with the one of the whole."""

    @property
    def binding(self) -> License:
        """The licence of the whole."""
        return most_restrictive(self.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: the identifier of every part, and the binding licence in full."""
        return {"parts": {part: terms.id for part, terms in self.items()}, "binding": asdict(self.binding)}

    def by_terms(self) -> dict[License, list[str]]:
        """The parts under each licence."""
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
    """As in ``backbone, heads kinds and masks``: with heads together, and data of heads too."""
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
    """Anything with licences, such as an Argus."""

    def licenses(self) -> Mapping[str, License]:
        """The licence of every part."""
        ...


def work_licenses(backbone: str, heads: Mapping[str, Mapping[str, Any]]) -> Licenses:
    """The licences of code, backbone and heads, from the backbone's licence identifier and the heads' records.

    A head has the licence of the weights it was trained on, by default the backbone's. Its training data are a separate
    part if the record states their licence.
    """
    parts = {"code": APACHE, "backbone": find_license(backbone)}
    for name, record in heads.items():
        parts[f"head {name}"] = find_license(_license_id(record) or backbone)
        if data := _license_id(record.get("data")):
            parts[f"data of {name}"] = find_license(data)
    return Licenses(parts)


def check_level(level: str) -> None:
    """Raise ArgusError for a level that ``require`` does not know."""
    if level not in LEVELS:
        raise unknown("level of licences", level, LEVELS)


def require(work: Licensed | Mapping[str, License | Mapping[str, Any]], level: str | None) -> None:
    """Raise ArgusError, naming the parts, unless all licences have a ``level``; None allows any.

    ``permissive`` licences allow commercial use. ``work`` is an Argus, or maps parts to licences or to records with a
    ``license``.
    """
    if level is None:
        return
    check_level(level)
    groups = _refused(work).by_terms().items()
    if groups:
        parts = [f"{_listed(names)}: {terms.name} ({terms.id})" for terms, names in groups]
        raise ArgusError(
            f"not permissive: {'; '.join(parts)}; choose other weights, heads or data, "
            "or leave out --require-license if these terms allow what you do"
        )


def require_consent(work: Licensed, given: bool) -> None:
    """Raise ArgusError, naming parts and terms, unless all licences let anybody publish the work, or ``given`` says so.

    ``given`` is the word of whoever publishes it that they have read the terms and have the right.
    """
    groups = {} if given else _refused(work).by_terms()
    if not groups:
        return
    parts = [f"{_listed(names)}: {terms.name} ({terms.id}). {terms.note}" for terms, names in groups.items()]
    others = refused_heads(work, LEVELS[0])
    some = f", or leave out these heads with --require-license {LEVELS[0]}" if 0 < len(others) < _heads(work) else ""
    raise ArgusError(
        f"not everybody may publish this: {' '.join(parts)} Read these terms; if you have the right to publish, say so "
        f"with --accept-license (accept_license=True){some}"
    )


def _heads(work: Licensed) -> int:
    return sum(part.startswith("head ") for part in work.licenses())


def refused_heads(work: Licensed, level: str | None) -> dict[str, str]:
    """The heads that ``require`` would refuse, each with the reason; empty if code or backbone are refused too."""
    if level is None:
        return {}
    check_level(level)
    refused = _refused(work)
    if any(" " not in part for part in refused):
        return {}
    return {part.rpartition(" ")[2]: f"{part}: {terms.name} ({terms.id})" for part, terms in refused.items()}


def _refused(work: Licensed | Mapping[str, License | Mapping[str, Any]]) -> Licenses:
    """The parts whose licences forbid commercial use."""
    parts = work if isinstance(work, Mapping) else work.licenses()
    licenses = {
        part: terms if isinstance(terms, License) else find_license(_license_id(terms)) for part, terms in parts.items()
    }
    return Licenses({part: terms for part, terms in licenses.items() if not terms.commercial})


def _license_id(record: Any) -> str | None:
    """The identifier of the licence in a record, where it is a text or the record of a License."""
    terms = record.get("license") if isinstance(record, Mapping) else None
    identifier = terms.get("id") if isinstance(terms, Mapping) else terms
    return str(identifier) if identifier else None
