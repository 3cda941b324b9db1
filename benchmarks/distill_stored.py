"""Steps per second of `arena distill` with stored answers against live teachers, and how far their losses differ.

python distill_stored.py DATA    # DATA holds unlabelled, imagenette160 and weights_vit_tiny

Both see the same fixed views of the same images, some of DATA. A step is what lies between the ends of two; storing,
the start, and the first step are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.recipe import read_recipe
from argus_arena.distill.run import distill

GOAL = 4.0
TEACHERS = ["lite0", "lite2", "vit"]
CASES: Mapping[str, dict[str, Any]] = {
    "student, three teachers": {"stage": "student", "teachers": TEACHERS},
    "proxy, three teachers": {"stage": "proxy", "teachers": TEACHERS},
    "student, ViT-Tiny alone": {"stage": "student", "teachers": ["vit"]},
}


def some_photographs(data: Path, count: int, folder: Path) -> Path:
    """A folder of links to so many photographs, evenly from all of DATA."""
    files = sorted(path for name in ("unlabelled", "imagenette160") for path in (data / name).rglob("*.[jJ][pP]*[gG]"))
    folder.mkdir()
    for number, file in enumerate(files[:: len(files) // count][:count]):
        (folder / f"{number:05}{file.suffix}").symlink_to(file.resolve())
    return folder


def settings(case: Mapping[str, Any], data: Path, stored: str, options: argparse.Namespace) -> dict[str, Any]:
    """Changes of eupe-toy."""
    (weights,) = (data / "weights_vit_tiny").glob("*.safetensors")
    stage = f"stages.{case['stage']}"
    return {
        "teachers.vit.weights": str(weights),
        "networks.proxy.weights": str(weights),
        "comparison.steps": 4,
        f"{stage}.teachers": case["teachers"],
        f"{stage}.crops": options.crops,
        f"{stage}.stored": stored,
        f"{stage}.recipe.steps": options.steps,
    }


def measure(case: Mapping[str, Any], photographs: Path, out: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Median seconds of a step, seconds of all, and the losses that were logged."""
    ends: list[float] = []
    learn = StudentTrial.learn

    def timed(self: StudentTrial, *args: Any) -> dict[str, float]:
        terms = learn(self, *args)
        ends.append(time.perf_counter())
        losses.append(terms["loss"])
        return terms

    losses: list[float] = []
    began = time.perf_counter()
    StudentTrial.learn = timed  # type: ignore[method-assign]
    try:
        distill(read_recipe("eupe-toy", (str(photographs),), changes), out, only=case["stage"], device="cpu")
    finally:
        StudentTrial.learn = learn  # type: ignore[method-assign]
    step = statistics.median(b - a for a, b in pairwise(ends))
    return {"step": step, "whole": time.perf_counter() - began, "losses": losses}


def compare(name: str, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A case with live teachers, and with each number format of stored answers."""
    case, row = CASES[name], dict[str, Any](case=name)
    with TemporaryDirectory() as folder:
        photographs = some_photographs(data, options.images, Path(folder, "photographs"))
        for stored in ("no", *options.formats):
            out = Path(folder, stored)
            row[stored] = measure(case, photographs, out, settings(case, data, stored, options))
    return row


def show(row: Mapping[str, Any], formats: list[str]) -> None:
    """Print a case."""
    live = row["no"]
    print(f"{row['case']}: live {1 / live['step']:.2f} steps/s", flush=True)
    for name in formats:
        ratio = live["step"] / row[name]["step"]
        apart = max(abs(a - b) for a, b in zip(row[name]["losses"], live["losses"], strict=True))
        verdict = "met" if ratio >= GOAL else "MISSED"
        print(
            f"  {name}: {1 / row[name]['step']:.2f} steps/s, {ratio:.1f} times as fast (goal {GOAL:.0f}, {verdict}); "
            f"largest difference of a loss {apart:.2g} of {live['losses'][-1]:.3f}; "
            f"with storing {row[name]['whole']:.0f} s, live {live['whole']:.0f} s",
            flush=True,
        )


def main() -> None:
    """Print some lines per case, and JSON to OUT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--formats", nargs="*", default=["fp16", "fp32"])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--json", type=Path, help="a file to which each case is added as a line")
    options = parser.parse_args()
    for name in options.only:
        row = compare(name, options.data, options)
        show(row, options.formats)
        if options.json:
            with options.json.open("a") as lines:
                lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
