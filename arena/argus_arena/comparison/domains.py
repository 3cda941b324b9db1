"""The same heads on many data sets: scores per domain, and a mean that stands only if every domain does."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argus_arena.comparison.course import follow
from argus_arena.comparison.domain import Domain
from argus_arena.comparison.opened import close
from argus_arena.engines.find import find_engine
from argus_arena.engines.site import JOBS
from argus_arena.leaderboard.board import csv_text, print_table, wide_console
from argus_arena.leaderboard.standings import Standing
from argus_arena.requests import CacheRequest, Comparison, RunRequest
from argus_core.cli.early import named_data
from argus_core.common.files import read_json, write_json, write_text
from argus_core.common.folders import claim
from argus_core.common.progress import resumable
from argus_core.errors import ArgusError
from argus_core.image import is_hidden
from argus_core.plugins.data_spec import quoted

RF20_VL = [
    "actions",
    "aerial-airport",
    "all-elements",
    "aquarium-combined",
    "defect-detection",
    "dentalai",
    "flir-camera-objects",
    "gwhd2021",
    "lacrosse-object-detection",
    "new-defects-in-wood",
    "orionproducts",
    "paper-parts",
    "recode-waste",
    "soda-bottles",
    "the-dreidel-project",
    "trail-camera",
    "water-meter",
    "wb-prova",
    "wildfire-smoke",
    "x-ray-id",
]
"""The twenty domains of RF20-VL (Robicheaux 2025); their folders' names begin with these."""
FILE = "domains.json"


@dataclass(frozen=True)
class Domains:
    """Data specs by domain; None for one that is expected and not there."""

    specs: Mapping[str, str | None]

    @classmethod
    def find(cls, data: Sequence[str], expected: Sequence[str]) -> Domains:
        """The domains in folders whose subfolders are data sets, and those given as ``NAME=SPEC``.

        ``expected`` are names or ``rf20-vl``; without any, all domains are taken. Raises ArgusError if there is none,
        or a name is there twice.
        """
        there: dict[str, str] = {}
        for text in data:
            for name, spec in _specs(text).items():
                if name in there:
                    raise ArgusError(f"domain {name!r} is there twice: {there[name]} and {spec}")
                there[name] = spec
        wanted = [name for text in expected for name in (RF20_VL if text == "rf20-vl" else [text])]
        specs = {name: _match(name, there) for name in wanted} if wanted else dict(sorted(there.items()))
        if not there:
            raise ArgusError(f"no domain in {', '.join(data)}; give a folder of data sets, or NAME=SPEC")
        if not any(specs.values()):
            raise ArgusError(f"none of {', '.join(wanted)} is among the domains {', '.join(there)}")
        return cls(specs)


def compare_domains(
    domains: Domains,
    run: RunRequest,
    tokens: CacheRequest,
    comparison: Comparison,
) -> dict[str, Any]:
    """Cache and compare in every domain below ``comparison.out``, then print the summary, which grows by the domain.

    A domain that is missing or fails is named, stops no other, and leaves every mean empty. Called again, it goes on.
    """
    out = comparison.out
    claim(out, _is_ours, "comparison over domains")
    specs = _with_earlier(out, domains)
    courses = [Domain(name, spec, run, tokens, comparison) for name, spec in specs.items()]
    try:
        with resumable(out), find_engine(comparison.engine, comparison.engine_options, out) as engine:
            for _ in follow(courses, engine, "domains"):
                _write(out, courses)
    finally:
        close()
    summary = _write(out, courses)
    _print(summary)
    return summary


def _write(out: Path, courses: Sequence[Domain]) -> dict[str, Any]:
    """Write the summary; domains that are not over count as missing."""
    standings = {course.name: course.standings for course in courses if course.standings is not None}
    missing = {course.name: course.failure for course in courses if course.standings is None}
    summary = summarise([course.name for course in courses], standings, missing)
    write_json(out / FILE, summary)
    write_text(out / "domains.csv", as_csv(summary))
    return summary


def summarise(
    names: Sequence[str], standings: Mapping[str, Sequence[Standing]], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Per head the primary score of each domain and their mean, which is None where a domain has none; best first."""
    by_head: dict[str, dict[str, Standing]] = {}
    for domain, entries in standings.items():
        for entry in entries:
            by_head.setdefault(entry.name, {}).setdefault(domain, entry)
    rows: list[dict[str, Any]] = []
    for head, by_domain in by_head.items():
        scores = {name: by_domain[name].mean(by_domain[name].primary) if name in by_domain else None for name in names}
        known = [value for value in scores.values() if value is not None]
        mean = statistics.fmean(known) if known and len(known) == len(scores) else None
        parameters = {name: entry.rows[0]["parameters"] for name, entry in by_domain.items()}
        rows.append({"head": head, "mean": mean, "domains": scores, "parameters": parameters})
    rows.sort(key=lambda row: (row["mean"] is None, -(row["mean"] or 0.0), row["head"]))
    protocols = sorted({entry.rows[0]["protocol"] for entries in standings.values() for entry in entries})
    return {"domains": list(names), "missing": dict(missing), "protocols": protocols, "heads": rows}


def as_csv(summary: Mapping[str, Any]) -> str:
    """A line per head: the mean, and every domain's score."""
    lines = [
        [row["head"], row["mean"], *(row["domains"][name] for name in summary["domains"])] for row in summary["heads"]
    ]
    return csv_text([["head", "mean", *summary["domains"]], *lines])


def _is_ours(out: Path) -> bool:
    """Whether a folder holds a comparison over domains, or only what an unfinished one begins with."""
    if not (out / FILE).is_file():
        return all(path.name in ("caches", JOBS) or path.name[0] == "." for path in out.iterdir())
    summary = read_json(out / FILE, "remove it, or choose another --out")
    return isinstance(summary, dict) and "domains" in summary


def _with_earlier(out: Path, domains: Domains) -> dict[str, str | None]:
    """The domains of this call, and those of an earlier call in the same folder: none may disappear unnoticed."""
    file = out / FILE
    earlier = read_json(file, "remove it, or choose another --out")["domains"] if file.exists() else []
    return {**dict.fromkeys(earlier), **domains.specs}


def _specs(text: str) -> dict[str, str]:
    name, equals, spec = text.partition("=")
    if equals and not Path(text).exists():
        return {name: named_data(spec)}
    if not Path(text).is_dir():
        raise ArgusError(f"{text} is neither a folder nor NAME=SPEC")
    folders = [path for path in sorted(Path(text).iterdir()) if path.is_dir() and not is_hidden(path.name)]
    return {path.name: quoted(str(path)) for path in folders}


def _match(name: str, there: Mapping[str, str]) -> str | None:
    """The data set of this name, or the only one whose name begins with it: downloads append suffixes."""
    longer = [other for other in there if other.startswith(f"{name}-")]
    if name in there:
        return there[name]
    if len(longer) > 1:
        raise ArgusError(f"domain {name!r} may be any of {', '.join(longer)}; keep one, or give {name}=SPEC")
    return there[longer[0]] if longer else None


def _print(summary: Mapping[str, Any]) -> None:
    console, heads = wide_console(), summary["heads"]
    cells = [[name, *(_score(row["domains"][name]) for row in heads)] for name in summary["domains"]]
    cells.append(["mean", *(_score(row["mean"]) for row in heads)])
    print_table(console, ["domain", *(row["head"] for row in heads)], cells)
    for name, reason in summary["missing"].items():
        console.print(f"missing: {name}: {reason}")
    if summary["missing"]:
        console.print("a mean over fewer domains is no mean of them all: it is left empty")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
