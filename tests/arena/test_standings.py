"""Which rows are one entry, which entries share a ranking, and what the exports say."""

from __future__ import annotations

import csv
import io
import json
import statistics

import pytest

from argus_arena.comparison.compare import below_floor
from argus_arena.leaderboard.board import _cells, _fitting, as_csv, as_markdown, print_board, print_rows
from argus_arena.leaderboard.standings import rankings
from argus_arena.leaderboard.verdict import judge
from argus_core.errors import ArgusError


def row(name="fcos", seed=0, ap=0.5, *, data="d1", protocol="coco-bbox-1", **more):
    return {
        "name": name,
        "head": f"detect.{name}",
        "task": "detect",
        "protocol": protocol,
        "primary": "AP",
        "higher_is_better": True,
        "metrics": {"AP": ap, "AP50": None if ap is None else ap / 2, "AP/cat": ap},
        "parameters": 10,
        "macs": 2_000_000_000,
        "milliseconds": 1.5 + seed,
        "train_seconds": 3.0,
        "options": {"width": 8},
        "recipe": {"lr": 0.1},
        "seed": seed,
        "data": {"spec": "coco:x", "train": {"sha256": "t"}, "val": {"sha256": data, "images": 7}},
        "tokens": {"from": "cache", "train": "c1", "backbone": {"sha256": "w", "weights": None}},
        "notes": [],
        **more,
    }


def names(found):
    return [[one.name for one in held] for held in found.values()]


def test_seeds_are_one_entry_with_mean_and_deviation():
    rows = [row(seed=seed, ap=ap) for seed, ap in enumerate((0.2, 0.4, 0.9))]
    (held,) = rankings(rows[::-1]).values()
    (one,) = held
    assert [r["seed"] for r in one.rows] == [0, 1, 2]
    assert one.mean("AP") == pytest.approx(0.5) and one.deviation("AP") == statistics.stdev((0.2, 0.4, 0.9))
    assert one.mean("milliseconds") == 2.5 and one.mean("cache_bytes") is None
    assert rankings(rows[:1]).popitem()[1][0].deviation("AP") is None


def test_a_seed_counts_once():
    """A repeated or copied training is no further evidence."""
    rows = [row(seed=0, ap=0.2), row(seed=1, ap=0.4), {**row(seed=1, ap=0.41), "weights_sha256": "other machine"}]
    (held,) = rankings(rows).values()
    assert [r["seed"] for r in held[0].rows] == [0, 1] and held[0].mean("AP") == pytest.approx(0.3)


@pytest.mark.parametrize(
    "other",
    [
        row(seed=1, options={"width": 9}),
        row(seed=1, recipe={"lr": 0.2}),
        row(seed=1, tokens={"from": "cache", "train": "c2", "backbone": {"sha256": "w"}}),
        row(seed=1, tokens={"from": "cache", "train": "c1", "backbone": {"sha256": "other"}}),
        row("small", seed=1),
    ],
)
def test_what_differs_in_more_than_the_seed_is_another_entry(other):
    assert [len(held) for held in rankings([row(), other]).values()] == [2]


def test_where_weights_lie_is_no_difference():
    moved = row(seed=1, tokens={"from": "cache", "train": "c1", "backbone": {"sha256": "w", "weights": "elsewhere"}})
    assert [len(held) for held in rankings([row(), moved]).values()] == [1]


def test_other_rules_or_images_never_share_a_ranking():
    rows = [row(), row("b", data="d2", ap=0.9), row("c", protocol="other-1", ap=0.9), row("d", ap=0.7)]
    assert names(rankings(rows)) == [["d", "fcos"], ["b"], ["c"]]


def test_the_best_is_first_and_what_has_no_score_last():
    rows = [row("a", ap=0.1), row("b", ap=None), row("c", ap=0.3)]
    assert names(rankings(rows)) == [["c", "a", "b"]]
    falling = [row(n, ap=v, higher_is_better=False) for n, v in (("a", 0.1), ("b", None), ("c", 0.3))]
    assert names(rankings(falling)) == [["a", "c", "b"]]


def test_sorting_by_costs_takes_the_smallest_first():
    rows = [row("a", parameters=30, ap=0.9), row("b", parameters=20), row("c", parameters=25)]
    assert names(rankings(rows, "parameters")) == [["b", "c", "a"]]
    assert names(rankings(rows, "AP50")) == [["a", "b", "c"]]
    with pytest.raises(ArgusError, match="unknown score or cost 'AP5'; did you mean 'AP50'"):
        rankings(rows, "AP5")


def test_what_is_sorted_by_is_shown():
    ece = {"before": 0.3, "after": 0.02}
    rows = [row("a", calibration={"ece": {**ece, "after": 0.125}}), row("b", calibration={"ece": ece}), row("c")]
    assert names(rankings(rows, "calibration_error")) == [["b", "a", "c"]]
    for sort, cells in (("calibration_error", ["0.02", "0.125", "-"]), ("AP/cat", ["0.500", "0.500", "0.500"])):
        (held,) = rankings(rows, sort).values()
        columns, lines = _cells(held, judge(held, sort), sort)
        assert [line[columns.index(sort)] for line in lines] == cells
    columns, _ = _cells(held, judge(held), None)
    assert not {"calibration_error", "AP/cat"} & set(columns)


def test_csv_and_markdown_hold_every_entry():
    found = rankings([row(seed=0, ap=0.2), row(seed=1, ap=0.4), row("a|b", ap=0.1), row("z", data="d2")])
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [(line["rank"], line["name"], line["data_sha256"]) for line in lines] == [
        ("1", "fcos", "d1"),
        ("2", "a|b", "d1"),
        ("1", "z", "d2"),
    ]
    assert float(lines[0]["AP"]) == pytest.approx(0.3) and float(lines[0]["AP std"]) == pytest.approx(
        0.141421, abs=1e-5
    )
    assert lines[1]["AP std"] == "" and lines[0]["seeds"] == "2" and lines[0]["macs"] == "2000000000.0"
    text = as_markdown(found)
    assert text.count("**coco-bbox-1") == 2 and "| fcos | 2 | 0.300 ±0.141 | 0.150 ±0.071 | 3 | 2 | 2 | 10 |" in text


def test_the_board_filters_and_prints(tmp_path, capsys):
    for one in (row(), row("small", ap=0.6), row("depths", task="depth", head="depth.linear")):
        (tmp_path / one["name"]).mkdir()
        (tmp_path / one["name"] / "result.json").write_text(json.dumps(one))
    print_board([tmp_path], "json", ["small"])
    (only,) = json.loads(capsys.readouterr().out)
    assert (only["name"], only["rank"], only["scores"]["AP"]["mean"]) == ("small", 1, 0.6)
    assert only["rows"] == [str(tmp_path / "small/result.json")]
    print_board([tmp_path], task="depth")
    assert "depths" in (shown := capsys.readouterr().out) and "fcos" not in shown
    with pytest.raises(ArgusError, match="is of nothing"):
        print_board([tmp_path], heads=["nothing"])
    with pytest.raises(ArgusError, match="unknown format"):
        print_board([tmp_path], "xml")


def test_heads_below_the_floor_are_named():
    floor = row("closed_form", ap=0.3)
    rows = [floor, row("a", ap=0.2), row("b", ap=0.3), row("c", ap=0.4), row("d", ap=None)]
    (line,) = below_floor([one for held in rankings(rows).values() for one in held])
    assert line.startswith("no better than closed_form") and line.endswith(": b, a, d")
    assert below_floor([one for held in rankings(rows[1:]).values() for one in held]) == []


def test_the_deciding_score_comes_first_then_epochs_and_costs():
    (held,) = rankings([row(epochs=34.0, metrics={"AR": 0.1, "AP": 0.5})]).values()
    columns, cells = _cells(held, judge(held), None)
    assert columns == ["head", "AP", "AR", "epochs", "train s", "GMACs", "ms", "parameters"]
    assert cells == [["fcos", "0.500", "0.100", "34", "3", "2", "1.5", "10"]]


def test_a_narrow_terminal_shows_whole_columns_from_the_left():
    columns, cells = ["head", "AP", "AR"], [["fcos", "0.500", "0.1"]]
    assert [_fitting(columns, cells, room) for room in (None, 19, 18, 14, 13)] == [3, 3, 2, 2, 1]


def test_a_score_that_is_not_defined_is_told(capsys):
    print_rows([row(ap=None)])
    assert "fcos: AP is not defined: no evaluation gave a number" in capsys.readouterr().out
