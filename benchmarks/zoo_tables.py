"""Tables and pictures of what zoo_board.py trained.

python zoo_tables.py OUT                     # of each head at its best rate: what it costs, AP with interval, rank
python zoo_tables.py OUT --rates             # of each head what three rates gave
python zoo_tables.py OUT --classes bccd-lite0    # of each head at its best rate: AP of every class
python zoo_tables.py OUT --agreement         # how alike the orders of heads are: of seeds, of cases, of folders
python zoo_tables.py OUT --draw PICTURE.svg [--rates]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from scipy.stats import kendalltau

from argus_arena.leaderboard.standings import Row, Standing, rankings, read_rows
from argus_arena.leaderboard.verdict import judge
from argus_core.saving.build import head_class
from dots import Column, Dot, draw_dots
from zoo_board import CASES, RATES, STEPS, WIDTH, folder_name

TITLES = {
    "bccd-lite0": "blood cells, lite0",
    "bccd-vit": "blood cells, ViT-Tiny",
    "coco-lite0": "12 groups, lite0",
    "coco-vit": "12 groups, ViT-Tiny",
}
BEST = folder_name(STEPS, WIDTH, best=True)


def boards(folder: Path) -> dict[str, list[Standing]]:
    """The ranking of every case in a folder."""
    found = {}
    for case in CASES:
        if list((folder / case).rglob("result.json")):
            (found[case],) = rankings(read_rows([folder / case])).values()
    return found


def kind(entry: Standing) -> str:
    """Whether a head is one of the standard ones, of the unusual ones, or solved."""
    if not entry.rows[0]["steps"]:
        return "solved"
    return "unusual" if "experimental" in head_class(entry.rows[0]["head"]).__module__ else "standard"


def print_table(folder: Path) -> None:
    """A line for each head, the best first: what it costs, and AP with interval and rank in every case."""
    found = boards(folder)
    cells: dict[str, dict[str, str]] = {}
    costs: dict[str, str] = {}
    for case, entries in found.items():
        verdict = judge(entries)
        for number, entry in enumerate(entries):
            placed, ap = verdict.placed[number], entry.mean("AP")
            interval = f" [{placed.low:.3f}, {placed.high:.3f}]" if placed else ""
            cells.setdefault(entry.name, {})[case] = f"{ap:.3f}{interval} | {verdict.rank(number)}"
            parameters, macs, seconds = (entry.mean(key) or 0.0 for key in ("parameters", "macs", "train_seconds"))
            costs.setdefault(entry.name, f"{kind(entry)} | {parameters:,.0f} | {macs / 1e9:.3f} | {seconds:.0f}")
        print(*(f"{case}: {note}" for note in verdict.notes), sep="\n")
    heading = ["head", "kind", "parameters", "GMACs", "training s"]
    heading += [text for case in found for text in (TITLES[case], "rank")]
    print(f"| {' | '.join(heading)} |\n|---|---|{'---:|' * (len(heading) - 2)}")
    for name, each in cells.items():
        print(f"| {name} | {costs[name]} | {' | '.join(each.get(case, ' | ') for case in found)} |")


def print_rates(out: Path) -> None:
    """A line for each head: AP on val at each rate, of one seed."""
    columns = {f"{TITLES[case]}: {rate}": scores for case, at in by_rate(out).items() for rate, scores in at.items()}
    print(f"| head | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name in next(iter(columns.values())):
        shown = [f"{scores[name]:.3f}" if name in scores else "" for scores in columns.values()]
        print(f"| {name} | {' | '.join(shown)} |")


def by_rate(out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """By case and rate, in words, the AP of each head, the best first."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for rate in RATES:
        for case, entries in boards(out / folder_name(STEPS, WIDTH, rate)).items():
            scores.setdefault(case, {})[f"{rate:g} x card" if rate else "suited"] = means(entries)
    return scores


def print_classes(folder: Path, case: str) -> None:
    """A line for each head, the best first: AP of every class, the mean over seeds."""
    entries = boards(folder)[case]
    keys = [key for key in entries[0].rows[0]["metrics"] if key.startswith("AP/")]
    print(f"| head | {' | '.join(key.removeprefix('AP/') for key in keys)} |\n|---|{'---:|' * len(keys)}")
    for entry in entries:
        print(f"| {entry.name} | {' | '.join(f'{entry.mean(key) or 0.0:.3f}' for key in keys)} |")


def print_agreement(out: Path) -> None:
    """Kendall's tau of the order of heads by AP: between seeds, between cases, and between folders."""
    for (one, first), (other, second) in itertools.combinations(list(orders(out)), 2):
        common = sorted(first.keys() & second.keys())
        if len(common) > 2:
            tau = kendalltau([first[name] for name in common], [second[name] for name in common]).statistic
            print(f"{one} and {other}: tau {tau:.2f} over {len(common)} heads")


def orders(out: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """What every head scored, in each folder and case, and there of each seed."""
    for folder in sorted(out.glob("steps*-width*")):
        for case, entries in boards(folder).items():
            yield f"{folder.name} {case}", means(entries)
            seeds = sorted({row["seed"] for entry in entries for row in entry.rows})
            for seed in seeds if len(seeds) > 1 else ():
                rows = [row for entry in entries for row in entry.rows if row["seed"] == seed]
                yield f"{folder.name} {case} seed {seed}", {row["name"]: ap(row) for row in rows}


def ap(row: Row) -> float:
    """The AP of a row."""
    return float(row["metrics"]["AP"])


def means(entries: list[Standing]) -> dict[str, float]:
    """The mean AP over seeds of each head."""
    return {entry.name: entry.mean("AP") or 0.0 for entry in entries}


def best_columns(folder: Path) -> Iterator[Column]:
    """A column for each case of a folder, with the solved head for all classes as its line."""
    for case, entries in boards(folder).items():
        dots = {
            entry.name: {kind(entry): Dot(entry.mean("AP") or 0.0, placed.low, placed.high)}
            for entry, placed in zip(entries, judge(entries).placed, strict=True)
            if placed
        }
        yield Column(TITLES[case], dots, means(entries).get("closed_form"))


def rate_columns(out: Path) -> Iterator[Column]:
    """A column for each case that was trained at several rates; heads are in the order of their best."""
    for case, scores in by_rate(out).items():
        first = next(iter(scores.values()))
        names = sorted(first, key=lambda name, scores=scores: -max(each[name] for each in scores.values()))  # type: ignore[misc]
        dots = {name: {rate: Dot(*3 * (each[name],)) for rate, each in scores.items()} for name in names}
        yield Column(TITLES[case], dots, first.get("closed_form"))


def main() -> None:
    """Print a table, or draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--classes", choices=CASES)
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--draw", type=Path)
    options = parser.parse_args()
    if options.draw:
        columns = rate_columns(options.out) if options.rates else best_columns(options.out / BEST)
        options.draw.write_text(draw_dots(list(columns), "AP"))
    elif options.classes:
        print_classes(options.out / BEST, options.classes)
    elif options.agreement:
        print_agreement(options.out)
    elif options.rates:
        print_rates(options.out)
    else:
        print_table(options.out / BEST)


if __name__ == "__main__":
    main()
