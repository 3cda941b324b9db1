"""What a run of ``gpu.py`` found: parts, checks and figures, as JSON and as tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from argus_core.common.files import write_json, write_text

Values = Mapping[str, float | str]
COLUMNS = ("ms", "images/s", "peak MiB")
"""Values of a figure that have a column of their own in the table."""


@dataclass(frozen=True)
class Part:
    """How a part ended: ``done``, ``failed``, ``cut`` (its time was up) or ``skipped`` (no time was left)."""

    name: str
    state: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """Whether something holds; ``reason`` says why it does not, ``values`` what was measured."""

    part: str
    name: str
    passed: bool
    reason: str
    values: Values


@dataclass(frozen=True)
class Figure:
    """What was measured; milliseconds are a median."""

    part: str
    name: str
    values: Values


@dataclass
class Record:
    """Everything found so far; ``header`` says on what. ``write`` replaces ``out`` with .json and with .md."""

    out: Path
    header: Mapping[str, str]
    parts: list[Part] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """A line for each check that does not hold and each part that broke."""
        broken = [f"{part.name}: {part.reason}" for part in self.parts if part.state == "failed"]
        return broken + [f"{one.part}: {one.name}: {one.reason}" for one in self.checks if not one.passed]

    @property
    def missing(self) -> list[str]:
        """The names of the parts that were not done to their end."""
        return [part.name for part in self.parts if part.state in ("cut", "skipped")]

    def write(self) -> None:
        """Write both files, each whole or not at all."""
        write_json(self.out.with_suffix(".json"), self.to_dict())
        write_text(self.out.with_suffix(".md"), self.to_markdown())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        lists = {name: [plain(asdict(one)) for one in getattr(self, name)] for name in ("parts", "checks", "figures")}
        return {"header": dict(self.header), **lists}

    def to_markdown(self) -> str:
        """A line about the machine, and a table each of parts, checks and figures."""
        parts = [(one.name, one.state, f"{one.seconds:.1f}", one.reason) for one in self.parts]
        checks = [
            (one.part, one.name, "ok" if one.passed else "FAILED", shown(one.values), one.reason) for one in self.checks
        ]
        figures = [(one.part, one.name, *cells(one.values)) for one in self.figures]
        sections = [
            ", ".join(f"{key} {value}" for key, value in self.header.items()),
            table(("part", "state", "seconds", "reason"), parts),
            table(("part", "check", "result", "values", "reason"), checks),
            table(("part", "figure", *COLUMNS, "other"), figures),
        ]
        return "\n\n".join(sections) + "\n"


def cells(values: Values) -> list[str]:
    """The columns of a figure."""
    rest = {key: value for key, value in values.items() if key not in COLUMNS}
    return [*(number(values[key]) if key in values else "" for key in COLUMNS), shown(rest)]


def shown(values: Values) -> str:
    """Names and values on one line."""
    return ", ".join(f"{key} {number(value)}" for key, value in values.items())


def number(value: float | str) -> str:
    """Four digits of a number; a text as it is."""
    return value if isinstance(value, str) else f"{value:.4g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "/").replace("\n", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(value: Any) -> Any:
    """JSON has no infinity and no nan: they become text."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
