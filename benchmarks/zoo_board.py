"""All detectors on two data sets and two backbones, three seeds each: trainings that can be continued, and their table.

python zoo_board.py DATA OUT [--only bccd-lite0 ...]    # trains what is missing in OUT; stop and go on at will
python zoo_board.py DATA OUT --table                    # one table of all that is there
python zoo_board.py DATA OUT --agreement                # how alike the orders of different --steps and --width are

DATA holds bccd, coco256, coco_plus and weights_vit_tiny. Photographs of COCO have the 12 groups of coco_groups.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

from argus_arena.comparison.compare import compare_heads
from argus_arena.leaderboard.standings import Standing, rankings, read_rows
from argus_arena.leaderboard.verdict import Verdict, judge
from argus_arena.requests import CacheRequest, Comparison, make_request
from argus_arena.tools.cache import build_cache
from argus_core import HEADS
from argus_core.common.allocator import keep_memory
from argus_core.saving.build import head_class
from coco_groups import write_boxes

CANVAS = "192x256"
TARGET = {"bccd": "RBC", "coco": "person"}
"""The one class that detect.analytic_person looks for."""
RATES = (3.0, 10.0)
"""Factors on the peak rate of a card that are tried, beside the rate that the arena suits to the length."""


@dataclass(frozen=True)
class Tokens:
    """A backbone and the layers that the detectors ask for."""

    backbone: str
    layers: tuple[int, ...]
    options: Mapping[str, Any]


LITE = Tokens("lite0", (2, 3, 4), {})
TINY = Tokens(
    "timm:vit_tiny_patch16_224", (2, 5, 8, 11), {"mean": [0.5] * 3, "std": [0.5] * 3, "license": "apache-2.0"}
)
CASES = {f"{data}-{name}": (data, tokens) for data in TARGET for name, tokens in (("lite0", LITE), ("vit", TINY))}


def train(case: str, options: argparse.Namespace) -> None:
    """Train, or go on training, every detector on one data set and backbone."""
    name, tokens = CASES[case]
    spec = f"coco:{options.data}/bccd" if name == "bccd" else write_boxes(options.data, options.out / "coco12")
    cache = options.out / "caches" / case
    weights = next((options.data / "weights_vit_tiny").glob("*.safetensors")) if tokens is TINY else None
    stored = {"backbone": tokens.backbone, "weights": weights, "backbone_options": dict(tokens.options)}
    views = ("id", "hflip")
    build_cache(CacheRequest(data=spec, out=cache, canvas=CANVAS, layers=tokens.layers, views=views, **stored))
    settings: dict[str, Any] = {"steps": options.steps, "width": options.width, "batch": 8, "stages": []}
    if {"all", "detect.analytic_person"} & set(options.heads):
        settings["analytic_person.target"] = TARGET[name]
    settings |= rates(case, options)
    given = {"heads": tuple(options.heads), "data": spec, "cache": str(cache)}
    request = make_request({**given, "settings": settings})
    compare_heads(request, Comparison(out=place(case, options), seeds=options.seeds, task="detect"))


def rates(case: str, options: argparse.Namespace) -> dict[str, float]:
    """Settings of each head's peak rate; the arena suits the rate of the heads without one."""
    factors = best_factors(case, options) if options.best else dict.fromkeys(detectors(options), options.rate)
    return {
        f"{name.partition('.')[2]}.lr": factor * head_class(name).recipe.lr for name, factor in factors.items() if factor
    }


def best_factors(case: str, options: argparse.Namespace) -> dict[str, float]:
    """Of each head, the ``--rate`` whose training on the same data by lite0 has the best AP on its selection images."""
    data, _ = CASES[case]
    found: dict[str, dict[float, float]] = {}
    for rate in (0, *RATES):
        folder = place(f"{data}-lite0", argparse.Namespace(**{**vars(options), "rate": rate, "best": False}))
        for row in read_rows([folder]) if folder.exists() else ():
            found.setdefault(row["head"], {})[rate] = (row["selected"] or row)["metrics"]["AP"]
    return {name: max(scores, key=scores.__getitem__) for name, scores in found.items() if name in detectors(options)}


def detectors(options: argparse.Namespace) -> list[str]:
    """The full names of the heads that are trained."""
    found = [entry.name for entry in HEADS.entries() if entry.name.startswith("detect.")]
    return found if "all" in options.heads else list(options.heads)


def place(case: str, options: argparse.Namespace) -> Path:
    """The folder of the trainings of a case, of one length and width."""
    rate = "-best" if options.best else f"-rate{options.rate:g}" if options.rate else ""
    return Path(options.out, f"steps{options.steps}-width{options.width}{rate}", case)


def boards(folder: Path) -> Iterator[tuple[str, list[Standing], Verdict]]:
    """The ranking of every case in a folder."""
    for case in CASES:
        if list((folder / case).rglob("result.json")):
            (entries,) = rankings(read_rows([folder / case])).values()
            yield case, entries, judge(entries)


def table(options: argparse.Namespace) -> None:
    """A line for each head: what it costs, and AP with interval and rank in every case."""
    cells: dict[str, dict[str, str]] = {}
    costs: dict[str, str] = {}
    for case, entries, verdict in boards(place("", options)):
        for number, entry in enumerate(entries):
            placed, ap = verdict.placed[number], entry.mean("AP")
            interval = f" [{placed.low:.3f}, {placed.high:.3f}]" if placed else ""
            cells.setdefault(entry.name, {})[case] = f"{ap:.3f}{interval} | {verdict.rank(number)}"
            parameters, macs, seconds = (entry.mean(key) or 0.0 for key in ("parameters", "macs", "train_seconds"))
            costs.setdefault(entry.name, f"{parameters:,.0f} | {macs / 1e9:.3f} | {seconds:.0f}")
        print(*(f"{case}: {note}" for note in verdict.notes), sep="\n")
    shown = [case for case in CASES if any(case in each for each in cells.values())]
    heading = ["head", "parameters", "GMACs", "training s", *(text for case in shown for text in (case, "rank"))]
    print(f"| {' | '.join(heading)} |\n|---|{'---:|' * (len(heading) - 1)}")
    for name, each in cells.items():
        print(f"| {name} | {costs[name]} | {' | '.join(each.get(case, ' | ') for case in shown)} |")


def agreement(options: argparse.Namespace) -> None:
    """Kendall's tau of the heads' mean AP between every two folders of trainings, case by case."""
    folders = sorted(options.out.glob("steps*-width*"))
    means = {
        (folder.name, case): {entry.name: entry.mean("AP") or 0.0 for entry in entries}
        for folder in folders
        for case, entries, _ in boards(folder)
    }
    for (one, first), (other, second) in itertools.combinations(means.items(), 2):
        common = sorted(first.keys() & second.keys())
        if len(common) > 2:
            tau = kendalltau([first[name] for name in common], [second[name] for name in common]).statistic
            print(f"{' '.join(one)}, {' '.join(other)}: tau {tau:.2f} over {len(common)} heads")


def main() -> None:
    """Train, or print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--heads", nargs="*", default=["all"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--rate", type=float, default=0.0, help="times the rate of each card; 0: as the arena suits it")
    parser.add_argument("--best", action="store_true", help="each head at the best of these rates that were tried")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--agreement", action="store_true")
    options = parser.parse_args()
    if options.table or options.agreement:
        return table(options) if options.table else agreement(options)
    keep_memory()  # as the command does
    for case in options.only:
        train(case, options)


if __name__ == "__main__":
    main()
