"""Steps per second of `arena distill` with stored answers against live teachers, and how far their losses differ.

python distill_stored.py DATA    # DATA holds unlabelled, imagenette160 and weights_vit_tiny

Both see the same fixed views of the same images, some of DATA. A step is what lies between the ends of two; storing,
the start, and the first step are left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.reading import read_recipe
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
        "teachers.lite0": {"backbone": "lite0", "size": 192},
        "networks.proxy.weights": str(weights),
        "comparison.steps": 4,
        f"{stage}.teachers": case["teachers"],
        f"{stage}.crops": options.crops,
        f"{stage}.stored": stored,
        f"{stage}.recipe.steps": options.steps,
    }


@dataclass(frozen=True)
class Course:
    """A run: median seconds of a step, by the clock and of the processors, and the loss of each step."""

    clock: float
    work: float
    losses: list[float]


def train(stage: str, photographs: Path, out: Path, changes: Mapping[str, Any]) -> Course:
    """Run a stage of eupe-toy in a new folder."""
    ends: list[tuple[float, float]] = []
    losses: list[float] = []
    learn = StudentTrial.learn

    def timed(self: StudentTrial, *args: Any) -> dict[str, float]:
        terms = learn(self, *args)
        ends.append((time.perf_counter(), time.process_time()))
        losses.append(terms["loss"])
        return terms

    StudentTrial.learn = timed  # type: ignore[method-assign]
    try:
        distill(read_recipe("eupe-toy", (str(photographs),), changes), out, only=stage, device="cpu")
    finally:
        StudentTrial.learn = learn  # type: ignore[method-assign]
    clock, work = (statistics.median(b[n] - a[n] for a, b in pairwise(ends)) for n in (0, 1))
    return Course(clock, work, losses)


def compare(name: str, options: argparse.Namespace) -> None:
    """Print a case: rounds in which live teachers and each number format take turns."""
    case, rounds = CASES[name], list[dict[str, Course]]()
    with TemporaryDirectory() as folder:
        photographs = some_photographs(options.data, options.images, Path(folder, "photographs"))
        for number in range(options.rounds):
            courses = {}
            for stored in ("no", *options.formats):
                changes = settings(case, options.data, stored, options)
                changes["images.store"] = str(Path(folder, "stores", stored))
                courses[stored] = train(case["stage"], photographs, Path(folder, f"{number} {stored}"), changes)
            rounds.append(courses)
    live = rounds[0]["no"]
    print(f"{name}: live {1 / statistics.median(each['no'].clock for each in rounds):.2f} steps/s", flush=True)
    for stored in options.formats:
        show(stored, [(each["no"], each[stored]) for each in rounds], live)


def show(stored: str, rounds: Sequence[tuple[Course, Course]], first: Course) -> None:
    """Print what a number format reached in rounds of live and stored runs."""
    ratio, work = (
        statistics.median(getattr(live, what) / getattr(course, what) for live, course in rounds)
        for what in ("clock", "work")
    )
    apart = max(abs(a - b) for _, course in rounds for a, b in zip(course.losses, first.losses, strict=True))
    rate = 1 / statistics.median(course.clock for _, course in rounds)
    print(
        f"  {stored}: {rate:.2f} steps/s, {ratio:.1f} times as many (goal {GOAL:.0f}, "
        f"{'met' if ratio >= GOAL else 'MISSED'}), {work:.1f} times less processor time; "
        f"losses {first.losses[0]:.3f} to {first.losses[-1]:.3f} differ by at most {apart:.2g}",
        flush=True,
    )


def main() -> None:
    """Print some lines per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--formats", nargs="*", default=["fp16", "fp32"])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.only:
        compare(name, options)


if __name__ == "__main__":
    main()
