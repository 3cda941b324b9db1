"""Whether a board can be fooled: one head against itself, planted differences, and how often intervals hold the truth.

python significance.py DATA OUT [--sets bccd camvid nyu] [--seeds 8] [--splits 100] [--draw FILE.svg]

DATA holds bccd, camvid and nyuv2. Caches go to OUT/caches and the contributions of the heads to OUT/heads, both only
where they are missing. A "seed" is the head solved on a random half of the training images, which is cheap and moves
the scores more than a seed of training does. Every line is also written to OUT/significance.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from argus_arena.leaderboard.resampling import resamples
from argus_arena.leaderboard.significance import Scored, compare, interval, seed_parts
from argus_core.common.files import file_sha256
from argus_core.saving.contributions import contributions_path, read_contributions, write_contributions
from argus_core.tasks import Contributions, Metric, join_contributions
from curves import Line, Panel, draw
from minute_heads import LITE0, SETS, TASKS, Bench

Array = npt.NDArray[Any]
WEAK = 3
"""Heads that are worse: solved from few images."""
RESAMPLES = 400
SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Of the images those on which a worse head answers, where a difference is planted."""


class Case(NamedTuple):
    """A task of a data set, the score that ranks, and the images that the worse head is solved from."""

    task: str
    few: int


CASES = {"bccd": Case("detect", 16), "camvid": Case("segment", 8), "nyu": Case("depth", 16)}


def make_heads(bench: Bench, case: Case, seeds: int, folder: Path) -> None:
    """Solve heads on halves of the training images and on few of them, score them together, keep contributions."""
    random, heads = np.random.default_rng(0), {}
    for number in range(seeds + WEAK):
        count = len(bench.train) // 2 if number < seeds else case.few
        chosen = [bench.train[n] for n in sorted(random.permutation(len(bench.train))[:count].tolist())]
        head = bench.make(TASKS[case.task].solved)
        bench.solve(head, chosen)
        heads[f"seed{number}" if number < seeds else f"weak{number - seeds}"] = head
    for name, metric in bench.metrics(heads, bench.val).items():
        kept = metric.contributions()
        assert kept is not None
        write_contributions(folder / f"{name}.json", kept, heads[name].task, {}, metric.protocol)


@dataclass(frozen=True)
class Pool:
    """Contributions of one head with several seeds, and of worse ones, over the same images."""

    metric: Metric
    seeds: list[Contributions]
    weak: list[Contributions]

    @classmethod
    def read(cls, folder: Path) -> Pool:
        """The heads in a folder of ``make_heads``."""
        found = {}
        for file in sorted(folder.glob("*.safetensors")):
            metric, found[file.name] = read_contributions(file, file_sha256(file))
        named = {kind: [kept for name, kept in found.items() if name.startswith(kind)] for kind in ("seed", "weak")}
        return cls(metric, named["seed"], named["weak"])

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self.seeds[0])

    @cached_property
    def counts(self) -> Array:
        """The resamples that all comparisons share."""
        return np.concatenate(list(resamples(self.images, RESAMPLES)))

    def over(self, kept: Contributions, counts: Array) -> Array:
        """The score that ranks over some choices of images."""
        rescore = self.metric.rescore(kept, self.metric.primary)
        assert rescore is not None
        return rescore(counts)

    def mixed(self, first: Contributions, second: Contributions, chosen: Array) -> Callable[[Array], Array]:
        """The score of a head that answers as ``second`` on the ``chosen`` images and as ``first`` on the others."""
        both = join_contributions([first, second])
        return lambda counts: self.over(both, np.concatenate([counts * ~chosen, counts * chosen], axis=1))

    @cached_property
    def scored(self) -> list[Scored]:
        """Every seed alone."""
        whole = np.ones((1, self.images), dtype=np.int64)
        return [Scored(self.over(kept, whole), self.over(kept, self.counts)[None]) for kept in self.seeds]


def together(parts: list[Scored]) -> Scored:
    """Seeds as one entry."""
    return Scored(np.concatenate([part.scores for part in parts]), np.concatenate([part.resampled for part in parts]))


def p_value(first: Scored, second: Scored, images: int) -> float:
    """What a board of two entries finds."""
    parts = seed_parts([first, second], images)
    return compare(first, second, (parts[0], parts[1]), images).p


def drawn_seeds(first: Scored, second: Scored, random: np.random.Generator) -> bool:
    """Whether seeds drawn with replacement, and images, leave 0 outside the percentiles: what the board does not do."""

    def draw(entry: Scored) -> Array:
        seeds, number = entry.resampled.shape
        return entry.resampled[random.integers(0, seeds, (seeds, number)), np.arange(number)].mean(axis=0)

    low, high = np.quantile(draw(first) - draw(second), [0.025, 0.975])
    return bool(low > 0 or high < 0)


def seeds_against_seeds(pool: Pool, splits: int) -> Iterator[dict[str, Any]]:
    """Seeds of one head divided at random into two entries: the share that is told apart."""
    random = np.random.default_rng(1)
    for seeds in (1, 2, 3, 4):
        told = drawn = 0
        for _ in range(splits):
            order = random.permutation(len(pool.seeds))[: 2 * seeds].tolist()
            first, second = (together([pool.scored[n] for n in part]) for part in (order[:seeds], order[seeds:]))
            told += p_value(first, second, pool.images) <= 0.05
            drawn += drawn_seeds(first, second, random)
        yield {"what": "seeds", "seeds": seeds, "told": told, "drawn": drawn, "splits": splits}


def swapped_images(pool: Pool, splits: int) -> dict[str, Any]:
    """Two seeds whose answers are swapped on random images: of one seed each nothing is different on average."""
    random, told, whole = np.random.default_rng(2), {"t": 0, "percentile": 0, "bca": 0}, np.ones((1, pool.images))
    every = np.concatenate([whole.astype(int), 1 - np.eye(pool.images, dtype=int), pool.counts])
    for _ in range(splits):
        a, b = random.permutation(len(pool.seeds))[:2].tolist()
        chosen = random.random(pool.images) < 0.5
        first, second = (pool.mixed(pool.seeds[a], pool.seeds[b], one)(every) for one in (chosen, ~chosen))
        scored = [Scored(one[:1], one[None, 1 + pool.images :]) for one in (first, second)]
        told["t"] += p_value(scored[0], scored[1], pool.images) <= 0.05
        apart = first - second
        for name, ends in both_ends(apart[0], apart[1 : 1 + pool.images], apart[1 + pool.images :]).items():
            told[name] += ends[0] > 0 or ends[1] < 0
    return {"what": "swapped", **told, "splits": splits}


def both_ends(whole: float, without: Array, resampled: Array) -> dict[str, tuple[float, float]]:
    """Percentile and BCa intervals at 95 % (Efron 1987), from values without each image and over resamples."""
    bias = stats.norm.ppf(np.clip((resampled < whole).mean(), 1e-3, 1 - 1e-3))
    apart = without.mean() - without
    spread = (apart**2).sum() ** 1.5
    acceleration = (apart**3).sum() / (6 * spread) if spread else 0.0
    levels = []
    for z in stats.norm.ppf([0.025, 0.975]):
        levels.append(stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))))
    low, high, other_low, other_high = np.quantile(resampled, [0.025, 0.975, *levels])
    return {"percentile": (low, high), "bca": (other_low, other_high)}


def power(pool: Pool, trials: int) -> Iterator[dict[str, Any]]:
    """Three seeds against three of which a worse head answers on some images: how often that is shown."""
    random, whole = np.random.default_rng(3), np.ones((1, pool.images), dtype=int)
    every = np.concatenate([whole, pool.counts])
    for share in SHARES:
        told, apart, smallest = 0, [], []
        for _ in range(trials):
            order, chosen = random.permutation(len(pool.seeds))[:6].tolist(), random.random(pool.images) < share
            values = [pool.mixed(pool.seeds[n], pool.weak[i], chosen)(every) for i, n in enumerate(order[3:])]
            first = together([pool.scored[n] for n in order[:3]])
            second = Scored(np.array([one[0] for one in values]), np.stack([one[1:] for one in values]))
            parts = seed_parts([first, second], pool.images)
            pair = compare(first, second, (parts[0], parts[1]), pool.images)
            told, apart = told + (pair.p <= 0.05), [*apart, abs(pair.difference)]
            smallest.append(pair.smallest(0.05))
        yield {
            "what": "power",
            "share": share,
            "told": told,
            "splits": trials,
            "difference": float(np.mean(apart)),
            "smallest": float(np.median(smallest)),
        }


def coverage(pool: Pool, trials: int) -> dict[str, Any]:
    """The images as a population, of which as many are drawn: how often intervals hold the population's score."""
    random, kept, images = np.random.default_rng(4), pool.seeds[0], pool.images
    held = {"percentile": 0, "bca": 0}
    truth = pool.scored[0].scores[0]
    for _ in range(trials):
        sample = np.bincount(random.integers(0, images, images), minlength=images)
        there = np.flatnonzero(sample)
        without = np.tile(sample, (len(there), 1))
        without[np.arange(len(there)), there] -= 1
        again = random.multinomial(images, sample / images, RESAMPLES)
        values = pool.over(kept, np.concatenate([sample[None], without, again]))
        jackknife = np.repeat(values[1 : 1 + len(there)], sample[there])
        for name, (low, high) in both_ends(values[0], jackknife, values[1 + len(there) :]).items():
            held[name] += low <= truth <= high
    return {"what": "coverage", **held, "splits": trials}


def panels(rows: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    """How often entries are told apart, with 95 % intervals: of one head, and where a difference is planted."""
    for what, title, across, place in (
        ("seeds", "one head against itself", "seeds of each entry", lambda row: row["seeds"]),
        ("power", "a worse head", "% of images that it answers", lambda row: round(100 * row["share"])),
    ):
        for name in dict.fromkeys(row["set"] for row in rows):
            own = {
                place(row): row for row in rows if row["set"] == name and row["what"] == what and row.get("share", 1)
            }
            ends = {
                at: [*stats.binomtest(row["told"], row["splits"]).proportion_ci(method="exact")]
                for at, row in own.items()
            }
            line = Line("told apart", ends, {at: row["told"] / row["splits"] for at, row in own.items()})
            limit = Line("5 %", {at: [0.05] for at in own})
            yield Panel(f"{name}: {title}", "share", across, [line, limit])


def show(name: str, line: Mapping[str, Any]) -> str:
    """A line with the interval of every share (Clopper and Pearson 1934)."""
    words = [f"{name}: {line['what']}"]
    for key, value in line.items():
        if key in ("told", "drawn", "t", "percentile", "bca"):
            found = stats.binomtest(int(value), line["splits"]).proportion_ci(method="exact")
            words.append(f"{key} {value / line['splits']:.1%} [{found.low:.1%}, {found.high:.1%}]")
        elif key not in ("what", "splits"):
            words.append(f"{key} {value:.3g}")
    return ", ".join(words)


def lines(pool: Pool, splits: int) -> Iterator[Mapping[str, Any]]:
    """Everything about one pool."""
    scores = [float(one.scores[0]) for one in pool.scored]
    weak = [float(pool.over(kept, np.ones((1, pool.images), dtype=int))[0]) for kept in pool.weak]
    one = pool.scored[0]
    low, high = interval(one, seed_parts([one], pool.images)[0])
    yield {"what": "heads", "mean": np.mean(scores), "std": np.std(scores, ddof=1), "weak": np.mean(weak)}
    yield {"what": "interval", "low": low, "score": scores[0], "high": high, "bias": one.resampled.mean() - scores[0]}
    yield from seeds_against_seeds(pool, splits)
    yield swapped_images(pool, splits)
    yield coverage(pool, 2 * splits)
    yield from power(pool, max(10, splits // 4))


def main() -> None:
    """Make what is missing, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--draw", type=Path, help="SVG file to write, of all that was measured")
    options = parser.parse_args()
    for name in options.sets:
        folder = options.out / "heads" / name
        if not contributions_path(folder / f"weak{WEAK - 1}.json").is_file():
            cache = SETS[name].cache(options.data, options.out / "caches", LITE0)
            make_heads(Bench(SETS[name].data(options.data), cache), CASES[name], options.seeds, folder)
        for line in lines(Pool.read(folder), options.splits):
            print(show(name, line), flush=True)
            with (options.out / "significance.jsonl").open("a") as file:
                file.write(json.dumps({"set": name, **line}, default=float) + "\n")
    if options.draw:
        rows = [json.loads(line) for line in (options.out / "significance.jsonl").read_text().splitlines()]
        options.draw.write_text(draw(list(panels(rows))), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
