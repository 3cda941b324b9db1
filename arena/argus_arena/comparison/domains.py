"""The same heads on many data sets: scores per domain, and a mean that stands only if every domain does."""

from __future__ import annotations

import csv
import io
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from argus_arena.comparison.compare import compare_heads
from argus_arena.leaderboard.standings import Standing
from argus_arena.requests import CacheRequest, Comparison, RunRequest
from argus_arena.tools.cache import build_cache
from argus_core.common.files import read_json, write_json, write_text
from argus_core.common.folders import claim
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
        """Of folders whose subfolders are COCO data sets, and of ``NAME=SPEC``; ``expected`` are names or ``rf20-vl``.

        Without ``expected``, all that there is. Raises ArgusError if nothing is, or a name is there twice.
        """
        found: dict[str, str] = {}
        for text in data:
            for name, spec in _specs(text).items():
                if name in found:
                    raise ArgusError(f"domain {name!r} is there twice: {found[name]} and {spec}")
                found[name] = spec
        wanted = [name for text in expected for name in (RF20_VL if text == "rf20-vl" else [text])]
        specs = {name: _match(name, found) for name in wanted} if wanted else dict(sorted(found.items()))
        if not found:
            raise ArgusError(f"no domain in {', '.join(data)}; give a folder of COCO data sets, or NAME=SPEC")
        if not any(specs.values()):
            raise ArgusError(f"none of {', '.join(wanted)} is among the domains {', '.join(found)}")
        return cls(specs)


def compare_domains(
    domains: Domains,
    run: RunRequest,
    tokens: CacheRequest,
    comparison: Comparison,
) -> dict[str, Any]:
    """Cache and compare in every domain below ``comparison.out``, then write and print the summary.

    A domain that is missing or fails is named, stops no other, and leaves every mean empty. Called again, it goes on.
    """
    claim(comparison.out, _is_ours, "comparison over domains")
    specs = _remembered(comparison.out, domains)
    found: dict[str, list[Standing]] = {}
    missing: dict[str, str] = {}
    for name, spec in specs.items():
        if spec is None:
            missing[name] = "there is no such data set"
            continue
        print(f"domain {name}: {spec}", file=sys.stderr)
        try:
            found[name] = _compare_domain(name, spec, run, tokens, comparison)
        except Exception as error:  # whatever one domain meets, the others go on
            missing[name] = str(error) if isinstance(error, ArgusError) else f"{type(error).__name__}: {error}"
    summary = summarise(specs, found, missing)
    write_json(comparison.out / FILE, summary)
    write_text(comparison.out / "domains.csv", as_csv(summary))
    _print(summary)
    return summary


def summarise(
    names: Sequence[str] | Mapping[str, Any], found: Mapping[str, Sequence[Standing]], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Per head the primary score of each domain and their mean, which is None where a domain has none; best first."""
    heads = list(dict.fromkeys(one.name for held in found.values() for one in held))
    rows: list[dict[str, Any]] = []
    for head in heads:
        entries = {name: next((one for one in held if one.name == head), None) for name, held in found.items()}
        scores = {name: entry.mean(entry.primary) if (entry := entries.get(name)) else None for name in names}
        known = [value for value in scores.values() if value is not None]
        rows.append(
            {
                "head": head,
                "mean": statistics.fmean(known) if known and len(known) == len(scores) else None,
                "domains": scores,
                "parameters": {name: one.rows[0]["parameters"] for name, one in entries.items() if one},
            }
        )
    rows.sort(key=lambda row: (row["mean"] is None, -(row["mean"] or 0.0), row["head"]))
    protocols = sorted({one.rows[0]["protocol"] for held in found.values() for one in held})
    return {"domains": list(names), "missing": dict(missing), "protocols": protocols, "heads": rows}


def as_csv(summary: Mapping[str, Any]) -> str:
    """A line per head: the mean, and every domain's score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["head", "mean", *summary["domains"]])
    for row in summary["heads"]:
        writer.writerow([row["head"], row["mean"], *(row["domains"][name] for name in summary["domains"])])
    return out.getvalue()


def _compare_domain(
    name: str, spec: str, run: RunRequest, tokens: CacheRequest, comparison: Comparison
) -> list[Standing]:
    cache = comparison.out / "caches" / name
    build_cache(tokens.model_copy(update={"data": spec, "out": cache}))
    own = comparison.model_copy(update={"out": comparison.out / "domains" / name})
    return compare_heads(run.model_copy(update={"data": spec, "cache": cache}), own)[0]


def _is_ours(out: Path) -> bool:
    """Whether a folder holds such a comparison, or the caches of one that was begun."""
    if not (out / FILE).is_file():
        return all(one.name == "caches" or one.name[0] == "." for one in out.iterdir())
    held = read_json(out / FILE, "remove it, or choose another --out")
    return isinstance(held, dict) and "domains" in held


def _remembered(out: Path, domains: Domains) -> dict[str, str | None]:
    """The domains of this call and those of an earlier one in the same folder, which must not vanish unnoticed."""
    file = out / FILE
    before = read_json(file, "remove it, or choose another --out")["domains"] if file.exists() else []
    return {**dict.fromkeys(before), **domains.specs}


def _specs(text: str) -> dict[str, str]:
    name, equals, spec = text.partition("=")
    if equals and not Path(text).exists():
        return {name: spec}
    if not Path(text).is_dir():
        raise ArgusError(f"{text} is neither a folder nor NAME=SPEC")
    folders = [path for path in sorted(Path(text).iterdir()) if path.is_dir() and not is_hidden(path.name)]
    return {path.name: f"coco:{quoted(str(path))}" for path in folders}


def _match(name: str, found: Mapping[str, str]) -> str | None:
    """The data set of this name, or the only one whose name begins with it, as downloads append marks of their own."""
    longer = [other for other in found if other.startswith(f"{name}-")]
    if name in found:
        return found[name]
    if len(longer) > 1:
        raise ArgusError(f"domain {name!r} may be any of {', '.join(longer)}; keep one, or give {name}=SPEC")
    return found[longer[0]] if longer else None


def _print(summary: Mapping[str, Any]) -> None:
    console = Console()
    console.width = max(console.width, 200)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("domain", no_wrap=True)
    for row in summary["heads"]:
        table.add_column(row["head"], justify="right", no_wrap=True)
    for name in summary["domains"]:
        table.add_row(name, *(_score(row["domains"][name]) for row in summary["heads"]))
    table.add_row("mean", *(_score(row["mean"]) for row in summary["heads"]))
    console.print(table)
    for name, reason in summary["missing"].items():
        console.print(f"missing: {name}: {reason}")
    if summary["missing"]:
        console.print("a mean over fewer domains is no mean of them all: it is left empty")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
