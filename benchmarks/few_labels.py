"""Learning curves: heads that are solved from 1, 2, 5, 10 and 50 labels a class, or images, beside others.

python few_labels.py DATA OUT --draw few-labels.svg    # DATA and OUT as of closed_form.py, whose caches serve

A score is that of the whole validation split. Each seed draws other images; what is drawn for 5 holds what is drawn for
2. Scores are appended to OUT/few_labels.jsonl as they come, and those that are there are not computed again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curves import Line, Panel, draw
from minute_heads import HIGHER, LITE0, SETS, TASKS, Bench, Place

SIZES = (1, 2, 5, 10, 50)
ALL = "trained on all images"


class Method(NamedTuple):
    """A head with options; ``steps`` of training with ``batch`` images, none if it is solved."""

    head: str
    options: Mapping[str, Any] = {}
    steps: int = 0
    batch: int = 4


METHODS: dict[str, dict[str, Method]] = {
    "classify": {
        "solved": Method("classify.ridge"),
        "kNN": Method("classify.knn"),
        "trained": Method("classify.linear", {}, 600, 8),
    },
    "segment": {"solved": Method("segment.ridge"), "trained": Method("segment.linear", {}, 150)},
    "depth": {"solved": Method("depth.ridge"), "trained": Method("depth.linear", {}, 600)},
    "detect": {"solved": Method("detect.closed_form"), "trained": Method("detect.slim_fcos", {"width": 64}, 150)},
}


def drawn(bench: Bench, task: str, size: int, seed: int) -> list[Place]:
    """``size`` training images, of every class where images have one."""
    rng, train = np.random.default_rng(seed), bench.train
    order = [train[n] for n in rng.permutation(len(train)).tolist()]
    if task != "classify":
        return order[:size]
    labels = {place: bench.splits[0].truth(place[1], task) for place in order}
    kinds = sorted(set(labels.values()))
    return [place for kind in kinds for place in [p for p in order if labels[p] == kind][:size]]


def score(bench: Bench, task: str, method: Method, images: Sequence[Place], seed: int) -> dict[str, float]:
    """The score of a head that learnt from some images, and its seconds; of a sweep that of the best rate."""
    began, head = time.perf_counter(), bench.make(method.head, method.options, seed)
    if method.steps:
        heads = bench.teach(head, images, method.steps, method.batch, seed)
    else:
        bench.solve(head, images)
        heads = {"solved": head}
    seconds, metric = time.perf_counter() - began, TASKS[task].metric
    scores = bench.scores(heads, bench.val, metric).values()
    return {"score": max(scores) if HIGHER[metric] else min(scores), "seconds": seconds}


def curves(
    bench: Bench, name: str, task: str, options: argparse.Namespace, done: set[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """A row per method, size and seed that is not done."""
    methods = {name: how for name, how in METHODS[task].items() if name in options.methods}
    for seed in range(options.seeds):
        for size in SIZES:
            for method, how in methods.items():
                key = {"data": name, "task": task, "method": method, "size": size, "seed": seed}
                if tuple(key.values()) in done:
                    continue
                images = drawn(bench, task, size, seed)
                yield {**key, "images": len(images), "steps": how.steps, **score(bench, task, how, images, seed)}


def read(file: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def panels(rows: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """A panel per task of each data set; ``whole`` are rows of closed_form.py, which trains on all images."""
    found = []
    for name, task in dict.fromkeys((each, task) for each in SETS for task in SETS[each].tasks):
        own = [row for row in rows if (row["data"], row["task"]) == (name, task)]
        lines = []
        for method in METHODS[task]:
            by_size = {s: [r["score"] for r in own if (r["method"], r["size"]) == (method, s)] for s in SIZES}
            lines.append(Line(method, {size: scores for size, scores in by_size.items() if scores}))
        levels = [row["trained"] for row in whole if (row["data"], row["task"]) == (name, task) and row["trained"]]
        lines += [Line(ALL, {size: [statistics.mean(levels[-1])] for size in SIZES})] if levels else []
        unit = "labels a class" if task == "classify" else "images"
        better = "" if HIGHER[TASKS[task].metric] else ", less is better"
        if lines := [line for line in lines if line.values]:
            found.append(Panel(f"{name}, {task}", TASKS[task].metric + better, unit, lines))
    return found


def main() -> None:
    """Compute what is missing, print it, and draw everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--backbone", default=shlex.join(LITE0), help="options of `arena cache`")
    parser.add_argument("--methods", nargs="*", default=["solved", "kNN", "trained"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draw", type=Path, help="SVG file of the curves")
    options = parser.parse_args()
    file = options.out / "few_labels.jsonl"
    done = {tuple(row[key] for key in ("data", "task", "method", "size", "seed")) for row in read(file)}
    for name in options.only:
        folder = SETS[name].cache(options.data, options.out / "caches", shlex.split(options.backbone))
        bench = Bench(SETS[name].data(options.data), folder)
        for task in SETS[name].tasks:
            for row in curves(bench, name, task, options, done):
                with file.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.draw:
        options.draw.write_text(draw(panels(read(file), read(options.out / "closed_form.jsonl"))))


if __name__ == "__main__":
    main()
