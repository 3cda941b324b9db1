"""What the board says of rows whose weights were chosen on the split that is scored, and of earlier rows."""

from __future__ import annotations

import csv
import io

import pytest

from argus_arena.leaderboard.board import as_csv, as_markdown, plain, print_rows
from argus_arena.leaderboard.choice import choice_notes, chosen_on, chosen_on_scored
from argus_arena.leaderboard.standings import rankings

SPLITS = {
    "spec": "coco:x",
    "train": {"split": "fit", "images": 90, "sha256": "t"},
    "val": {"split": "check", "images": 7, "sha256": "v"},
}
TEST = {"spec": "coco:x", "val": {"split": "test", "images": 5, "sha256": "w"}}
TOO_GOOD = "weights chosen on check, the split that is scored, so that the scores are too good: "


def row(name: str, selected: dict | None, seed: int = 0, **more: object) -> dict:
    return {
        "name": name,
        "head": f"detect.{name}",
        "task": "detect",
        "protocol": "coco-bbox-1",
        "primary": "AP",
        "higher_is_better": True,
        "metrics": {"AP": 0.5},
        "parameters": 10,
        "seed": seed,
        "steps": 9,
        "data": SPLITS,
        "tokens": {"from": "cache", "train": "c1", "backbone": {"sha256": "w", "weights": None}},
        "notes": [],
        **({"selected": selected} if selected is not None else {}),
        **more,
    }


EARLIER = row("earlier", {"step": 4, "variant": "live", "best_of": 10})
OLD = row("old", None)
SOLVED = row("solved", {"step": 0, "variant": "live", "best_of": 1}, steps=0)
ON_VAL = row("on_val", {"step": 4, "split": "check", "images": 7, "candidates": 10})
ON_TRAIN = row("on_train", {"step": 4, "split": "fit", "images": 20, "candidates": 10})
LAST = row("last", {"step": 9, "split": None, "images": 0, "candidates": 1})


@pytest.mark.parametrize(
    ("one", "split", "scored"),
    [
        (EARLIER, "check", True),
        (OLD, "check", True),
        (SOLVED, None, False),
        (ON_VAL, "check", True),
        (ON_TRAIN, "fit", False),
        (LAST, None, False),
        (row("again", {"split": "check"}, trained_on=SPLITS, data=TEST), "check", False),
        (row("again", {"split": "check"}, trained_on=SPLITS), "check", True),
        (row("again", {"step": 4, "variant": "ema"}, trained_on=SPLITS, data=TEST), "check", False),
        (row("again", {"step": 4, "variant": "ema"}, trained_on=SPLITS), "check", True),
    ],
)
def test_a_row_says_on_which_split_its_weights_were_chosen(one, split, scored):
    assert chosen_on(one) == split and chosen_on_scored(one) == scored


def test_only_choices_on_what_is_scored_are_told_then_of_all_entries():
    assert choice_notes([("a", ON_TRAIN), ("b", LAST)]) == []
    assert choice_notes([("a", ON_VAL), ("b", EARLIER)]) == [f"{TOO_GOOD}a, b"]
    mixed = [("a", ON_TRAIN), ("b", ON_VAL), ("c", LAST), ("d", ON_TRAIN)]
    assert choice_notes(mixed) == ["weights chosen on fit: a, d", f"{TOO_GOOD}b", "weights not chosen: c"]


def test_tables_that_mix_them_say_so_and_exports_have_the_split(capsys):
    rows = [ON_TRAIN, EARLIER, SOLVED]
    print_rows(rows)
    shown = capsys.readouterr().out.splitlines()
    lines = ["weights chosen on fit: on_train", f"{TOO_GOOD}earlier", "weights not chosen: solved"]
    assert all(line in shown for line in lines)
    ranked = rankings(rows)
    assert all(f"* {line}\n" in as_markdown(ranked) for line in lines)
    found = {line["name"]: line["chosen_on"] for line in csv.DictReader(io.StringIO(as_csv(ranked)))}
    assert found == {"on_train": "fit", "earlier": "check", "solved": ""}
    assert {one["name"]: one["chosen_on"] for one in plain(ranked)} == {**found, "solved": None}
    print_rows([ON_TRAIN, SOLVED])
    assert "weights" not in capsys.readouterr().out


def test_seeds_that_were_chosen_elsewhere_are_another_entry():
    selected = {"step": 2, "split": "fit", "images": 20, "candidates": 10}
    same = row("on_train", selected, 1)
    others = [
        row("on_train", {**selected, "images": 30}, 2),
        row("on_train", {**selected, "split": "check"}, 3),
        row("on_train", {"step": 4, "variant": "live", "best_of": 10}, 4),
    ]
    (held,) = rankings([ON_TRAIN, same, *others]).values()
    assert sorted(len(one.rows) for one in held) == [1, 1, 1, 2]
