"""Which images to annotate next: those that ``argus teach --suggest`` names, against random and merely uncertain ones.

python suggestions.py DATA OUT    # DATA and OUT as of closed_form.py, whose caches serve

A head is solved from a few random images. Every round, more of the training split are annotated and the head is solved
anew. Scores of the validation split are appended to OUT/suggestions.jsonl, and means over seeds are printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from argus_core.head import Head
from argus_core.model.composition import run_head
from argus_core.teach.doubt import doubt
from argus_core.teach.suggest import suggest
from minute_heads import LITE0, SETS, TASKS, Bench, Place

WAYS = ("random", "uncertain", "suggested")


class Course(NamedTuple):
    """So many images at first, so many more each round; every ``stride``-th image of the validation split is scored."""

    first: int
    more: int
    rounds: int
    stride: int = 1


COURSES = {"clothing": Course(10, 10, 7), "imagenette": Course(10, 10, 7), "camvid": Course(2, 2, 7, 4)}


class Pool(NamedTuple):
    """The images that may be annotated, and a vector of each."""

    places: list[Place]
    vectors: np.ndarray


def pool_of(bench: Bench) -> Pool:
    """CLS of each training image, or the mean of its deepest map."""
    vectors = [
        next(iter(t.prefix.values()))[:, 0] if t.prefix else t.maps[max(t.maps)].float().mean(dim=(2, 3))
        for t, _ in bench.placed(bench.train)
    ]
    return Pool(bench.train, torch.cat(vectors).float().numpy())


@torch.no_grad()
def doubts(bench: Bench, head: Head, places: Sequence[Place]) -> list[float]:
    """How unsure a head is of each image."""
    found: list[float] = []
    for placed in bench.placed(places):
        predictions = run_head(head, placed.tokens)
        found += [doubt(each, place) for each, place in zip(predictions, placed.placements, strict=True)]
    return found


def chosen(way: str, bench: Bench, head: Head, pool: Pool, known: list[int], count: int, seed: int) -> list[int]:
    """The numbers of the images of the pool to annotate next."""
    free = np.setdiff1d(np.arange(len(pool.places)), known)
    if way == "random":
        return np.random.default_rng([seed, len(known)]).choice(free, count, replace=False).tolist()
    scores = doubts(bench, head, [pool.places[n] for n in free])
    if way == "uncertain":
        return free[np.argsort(scores)[::-1][:count]].tolist()
    return free[suggest(scores, pool.vectors[free], count, pool.vectors[known])].tolist()


def course(bench: Bench, task: str, way: str, plan: Course, seed: int) -> Iterator[tuple[int, float]]:
    """Number of annotated images and score, by rounds."""
    pool, metric = pool_of(bench), TASKS[task].metric
    known = np.random.default_rng(seed).choice(len(pool.places), plan.first, replace=False).tolist()
    for number in range(plan.rounds + 1):
        head = bench.make(TASKS[task].solved)
        bench.solve(head, [pool.places[n] for n in known])
        yield len(known), bench.scores({"head": head}, bench.val[:: plan.stride], metric)["head"]
        if number < plan.rounds:
            known += chosen(way, bench, head, pool, known, plan.more, seed)


def main() -> None:
    """Print the mean scores of every way by the number of annotated images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(COURSES), choices=list(COURSES))
    parser.add_argument("--backbone", default=shlex.join(LITE0), help="options of `arena cache`")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name in options.only:
        folder = SETS[name].cache(options.data, options.out / "caches", shlex.split(options.backbone))
        bench, task = Bench(SETS[name].data(options.data), folder), SETS[name].tasks[0]
        for way in WAYS:
            scores: dict[int, list[float]] = {}
            for seed in range(options.seeds):
                for images, score in course(bench, task, way, COURSES[name], seed):
                    scores.setdefault(images, []).append(score)
                    row: dict[str, Any] = {"data": name, "task": task, "method": way, "size": images, "seed": seed}
                    with (options.out / "suggestions.jsonl").open("a") as lines:
                        lines.write(json.dumps({**row, "score": score}) + "\n")
            means = ", ".join(f"{images}: {statistics.mean(each):.3f}" for images, each in scores.items())
            print(f"{name}, {TASKS[task].metric}, {way}: {means}", flush=True)


if __name__ == "__main__":
    main()
