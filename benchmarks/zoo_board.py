"""All detectors on two data sets and two backbones, three seeds each, in trainings that can be continued.

python zoo_board.py DATA OUT --only bccd-lite0 coco-lite0 --seeds 1 --rate 3    # also without --rate, and with 10
python zoo_board.py DATA OUT --best    # three seeds of each head, at the best of these rates

What is missing in OUT is trained; stop and go on at will. zoo_tables.py prints and draws what is there. DATA holds
bccd, coco256, coco_plus and weights_vit_tiny. Photographs of COCO have the 12 groups of coco_groups.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argus_arena.comparison.compare import compare_heads
from argus_arena.leaderboard.standings import read_rows
from argus_arena.requests import CacheRequest, Comparison, make_request
from argus_arena.tools.cache import build_cache
from argus_core import HEADS
from argus_core.common.allocator import keep_memory
from argus_core.saving.build import head_class
from coco_groups import write_boxes

CANVAS = "192x256"
TARGET = {"bccd": "RBC", "coco": "person"}
"""The one class that detect.analytic_person looks for."""
TRAINING = {"batch": 8, "stages": [], "evaluations": 4}
STEPS, WIDTH = 300, 48
RATES = (0.0, 3.0, 10.0)
"""Factors on the peak rate of a card that are tried; 0 is the rate that the arena suits to the length."""


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
    settings: dict[str, Any] = {"steps": options.steps, "width": options.width, **TRAINING}
    if {"all", "detect.analytic_person"} & set(options.heads):
        settings["analytic_person.target"] = TARGET[name]
    settings |= rates(case, options)
    given = {"heads": tuple(options.heads), "data": spec, "cache": str(cache)}
    request = make_request({**given, "settings": settings})
    folder = options.out / folder_name(options.steps, options.width, options.rate, options.best)
    compare_heads(request, Comparison(out=folder / case, seeds=options.seeds, task="detect"))


def rates(case: str, options: argparse.Namespace) -> dict[str, float]:
    """Settings of each head's peak rate; the arena suits the rate of the heads without one."""
    factors = best_factors(case, options) if options.best else dict.fromkeys(detectors(options), options.rate)
    rate = {name: factor * head_class(name).recipe.lr for name, factor in factors.items() if factor}
    return {f"{name.partition('.')[2]}.lr": value for name, value in rate.items()}


def best_factors(case: str, options: argparse.Namespace) -> dict[str, float]:
    """Of each head, the ``--rate`` whose training on the same data by lite0 has the best AP on its selection images."""
    data, _ = CASES[case]
    found: dict[str, dict[float, float]] = {}
    for rate in RATES:
        folder = options.out / folder_name(options.steps, options.width, rate) / f"{data}-lite0"
        for row in read_rows([folder]) if folder.exists() else ():
            if row["selected"]["metrics"]:  # solved heads have no rate
                found.setdefault(row["head"], {})[rate] = row["selected"]["metrics"]["AP"]
    return {name: max(scores, key=scores.__getitem__) for name, scores in found.items() if name in detectors(options)}


def detectors(options: argparse.Namespace) -> list[str]:
    """The full names of the heads that are trained."""
    found = [entry.name for entry in HEADS.entries() if entry.name.startswith("detect.")]
    return found if "all" in options.heads else list(options.heads)


def folder_name(steps: int, width: int, rate: float = 0.0, best: bool = False) -> str:
    """The name of the folder of the trainings of one length, width and rate, or of each head at its best rate."""
    return f"steps{steps}-width{width}" + ("-best" if best else f"-rate{rate:g}" if rate else "")


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--heads", nargs="*", default=["all"])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--rate", type=float, default=0.0, help="times that of each card; 0: as the arena suits it")
    parser.add_argument("--best", action="store_true", help="each head at the best of these rates that were tried")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    keep_memory()  # as the command does
    for case in options.only:
        train(case, options)


if __name__ == "__main__":
    main()
