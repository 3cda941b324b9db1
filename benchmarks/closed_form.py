"""Heads that are solved against heads that are trained, on the tokens of five data sets: score, seconds, peak memory.

python closed_form.py DATA OUT    # DATA holds imagenette160, clothing10, camvid, nyuv2 and bccd

Caches go to OUT/caches and trained heads to OUT/trained, both only where they are missing. Every line is also written
to OUT/closed_form.jsonl. ``--splits`` divides the images of both splits anew as often, for heads that are solved.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minute_heads import HIGHER, LITE0, SETS, TASKS, Bench, DataSet, arena

GOAL = 0.85
REPEATS = 10
"""How many times as many images the second fit of the memory's line has."""


def solved(bench: Bench, task: str, options: Sequence[str] = ()) -> dict[str, float]:
    """Score and seconds of ``arena train``: of the fit, and of the whole command."""
    with TemporaryDirectory() as folder:
        arguments = ("--head", TASKS[task].solved, "--data", bench.spec, "--cache", str(bench.folder), *options)
        seconds = arena("train", *arguments, "--out", folder + "/run")
        (row,) = [json.loads(file.read_text()) for file in Path(folder).rglob("result.json")]
    return {"score": row["metrics"][TASKS[task].metric], "fit": row["train_seconds"], "command": seconds}


def resplits(bench: Bench, task: str, count: int) -> list[float]:
    """Scores on divisions of all images."""
    scores = []
    for seed in range(count):
        train, val = bench.resplit(seed)
        head = bench.make(TASKS[task].solved)
        bench.solve(head, train)
        scores.append(bench.scores({"head": head}, val, TASKS[task].metric)["head"])
    return scores


def trained(bench: Bench, task: str, folder: Path, seeds: int) -> tuple[list[float], float]:
    """Scores of the trained head by seed, and the median of the seconds of its training."""
    kind = TASKS[task]
    rows = _rows(folder, kind.trained)
    if len(rows) < seeds:
        arguments = ("--heads", kind.trained, "--data", bench.spec, "--cache", str(bench.folder), "--task", task)
        arena("compare", *arguments, "--seeds", str(seeds), "--out", str(folder))
        rows = _rows(folder, kind.trained)
    seconds = statistics.median(row["train_seconds"] for row in rows) if rows else float("nan")
    return [row["metrics"][kind.metric] for row in rows], seconds


def _rows(folder: Path, head: str) -> list[dict[str, Any]]:
    rows = [json.loads(file.read_text()) for file in sorted(folder.rglob("result.json"))]
    return [row for row in rows if row["head"] == head]


def peak(bench: Bench, task: str, repeats: int) -> float:
    """MiB at the peak of a process that fits on every image ``repeats`` times."""
    command = [sys.executable, __file__, "--peak", bench.spec, str(bench.folder), task, str(repeats)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def show_peak(spec: str, folder: str, task: str, repeats: str) -> None:
    """What ``peak`` reads."""
    bench = Bench(spec, Path(folder))
    bench.solve(bench.make(TASKS[task].solved), bench.train * int(repeats))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(bench: Bench, task: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything about one task of one data set."""
    kind = TASKS[task]
    values, seconds = trained(bench, task, folder, options.seeds)
    own = solved(bench, task)
    mean = statistics.mean(values) if values else float("nan")
    ratio = own["score"] / mean if HIGHER[kind.metric] else mean / own["score"]
    return {
        "task": task,
        "metric": kind.metric,
        **own,
        "trained": values,
        "training": seconds,
        "ratio": ratio,
        "splits": resplits(bench, task, options.splits),
        "peaks": [peak(bench, task, repeats) for repeats in (1, REPEATS)] if options.memory else [],
    }


def show(name: str, row: Mapping[str, Any]) -> None:
    """Print a row."""
    kind = TASKS[row["task"]]
    passed = row["ratio"] >= GOAL and row["command"] <= 60
    print(
        f"{name}: {kind.solved} {row['metric']} {row['score']:.3f} ({spread(row['splits'])} over {len(row['splits'])} "
        f"other splits), {kind.trained} {spread(row['trained'])} over {len(row['trained'])} seeds: ratio "
        f"{row['ratio']:.3f} (goal >= {GOAL}, {'met' if passed else 'MISSED'}); fit {row['fit']:.1f} s, command "
        f"{row['command']:.1f} s (goal <= 60), training {row['training']:.0f} s"
        + "".join(
            f"; {row['peaks'][0]:.0f} MiB, {REPEATS}x the images {row['peaks'][1]:.0f} MiB" for _ in row["peaks"][:1]
        ),
        flush=True,
    )


def spread(values: Sequence[float]) -> str:
    """Mean and, of several, standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "none"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def main() -> None:
    """Print a line per task of each data set."""
    if sys.argv[1:2] == ["--peak"]:
        return show_peak(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--backbone", default=shlex.join(LITE0), help="options of `arena cache`")
    parser.add_argument("--seeds", type=int, default=3, help="of the trained heads; 0 trains none")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    for name in options.only:
        data: DataSet = SETS[name]
        folder = data.cache(options.data, options.out / "caches", shlex.split(options.backbone))
        bench = Bench(data.data(options.data), folder)
        for task in data.tasks:
            suffix = f"_{task}" if len(data.tasks) > 1 else ""
            row = measure(bench, task, options, options.out / "trained" / (name + suffix))
            with (options.out / "closed_form.jsonl").open("a") as lines:
                lines.write(json.dumps({"data": name, **row}) + "\n")
            show(f"{name} {task}", row)


if __name__ == "__main__":
    main()
