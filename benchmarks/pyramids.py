"""One map of a pyramid against three: the same heads on stride 16 alone, on strides 8, 16 and 32 stacked, and natively.

Each data set is cached once and all its heads are trained on one read; the last scores are reported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE, THREE = "[3]", "[2,3,4]"
"""Layers of ``lite0`` of stride 16, and of strides 8, 16 and 32."""
METRICS = ("AP", "AP50", "AP_small", "mIoU", "abs_rel", "delta1")


@dataclass(frozen=True)
class Way:
    """How one head reads the backbone: an instance name, a registered head and its options."""

    name: str
    head: str
    options: tuple[str, ...]

    def arguments(self) -> list[str]:
        """The arguments of ``arena train`` for this head."""
        sets = [part for option in self.options for part in ("--set", f"{self.name}.{option}")]
        return ["--head", f"{self.name}={self.head}", *sets]


def layer_choices(prefix: str, head: str, *options: str) -> list[Way]:
    """One head on one layer, on three at stride 16, and on three at stride 8."""
    return [
        Way(f"{prefix}_one", head, (f"layers={ONE}", *options)),
        Way(f"{prefix}_three", head, (f"layers={THREE}", *options)),
        Way(f"{prefix}_three_at_8", head, (f"layers={THREE}", "stride=8", *options)),
    ]


FCOS = ("width=48", "depth=1", "lr=1e-3")
NATIVE = Way("fcos_native", "detect.fcos", (f"layers={THREE}", "pyramid=native", *FCOS))
BOXES = [*layer_choices("fcos", "detect.slim_fcos", *FCOS), NATIVE]
CELLS = [*layer_choices("segment", "segment.linear"), *layer_choices("depth", "depth.linear")]
SETS = {
    "bccd": ("coco:{data}/bccd", 320, 15, BOXES),
    "scenes": ("scenes:images=256,val=64,size=256", 256, 12, [*BOXES, *CELLS]),
}
"""Data spec, canvas in pixels, epochs and heads."""


def arena(*arguments: str) -> None:
    """Run one command of the arena."""
    subprocess.run([sys.executable, "-m", "argus_arena", *arguments], check=True)


def measure(name: str, folder: Path, data: str, only: Sequence[str]) -> list[dict[str, Any]]:
    """The result rows of the heads on one data set; finished work is not repeated."""
    spec, canvas, epochs, ways = SETS[name]
    spec, cache = spec.format(data=data), str(folder / "caches" / name)
    ways = [way for way in ways if not only or way.name in only]
    run = folder / "runs" / "-".join([name, *only])
    layers = ("--layers", "2,3,4,-1", "--batch", "2")
    arena("cache", "--data", spec, "--backbone", "lite0", "--canvas", str(canvas), *layers, "--out", cache)
    heads = [part for way in ways for part in way.arguments()]
    length = ("--set", "batch=16", "--set", f"epochs={epochs}", "--eval-every", str(epochs))
    arena("train", "--data", spec, "--cache", cache, *heads, *length, "--out", str(run))
    return [json.loads((run / way.name / "result.json").read_text()) for way in ways]


def row(result: dict[str, Any]) -> str:
    """One line of the table: parameters, scores, seconds."""
    scores = ", ".join(f"{key} {result['metrics'][key]:.3f}" for key in METRICS if key in result["metrics"])
    return f"| {result['name']} | {result['parameters']:,} | {scores} | {result['train_seconds']:.0f} |"


def main() -> None:
    """Print one table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), help=", ".join(SETS))
    parser.add_argument("--data", default="../shared/data", help="folder that holds bccd")
    parser.add_argument("--folder", type=Path, default=Path("pyramids"), help="folder of caches and runs")
    parser.add_argument("--ways", nargs="*", default=[], help="only these heads")
    options = parser.parse_args()
    for name in options.sets:
        rows = [row(result) for result in measure(name, options.folder, options.data, options.ways)]
        print(f"\n{name}\n| head | parameters | scores | training seconds |\n|---|---:|---|---:|", *rows, sep="\n")


if __name__ == "__main__":
    main()
