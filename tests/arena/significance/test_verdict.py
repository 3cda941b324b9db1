"""What a board says of rows with contributions: ranks, intervals, words where there are none, and its exports."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from argus_arena.leaderboard.board import as_csv, as_markdown, plain, print_board
from argus_arena.leaderboard.standings import rankings, read_rows
from argus_arena.leaderboard.verdict import judge
from significance_help import write_row


def rights(rate, images=200, seed=0):
    """Which images are right: the easiest ones, but for a tenth that differs."""
    rng = np.random.default_rng(seed)
    return (np.arange(images) < rate * images) ^ (rng.random(images) < 0.1)


def held(folder):
    (entries,) = rankings(read_rows([folder])).values()
    return entries


def judged(folder, sort=None):
    entries = held(folder)
    verdict = judge(entries, sort)
    placed = verdict.placed
    return verdict, {entry.name: one for entry, one in zip(entries, placed, strict=True)}


def test_equal_heads_share_a_rank_and_a_planted_difference_does_not(tmp_path):
    for name, rate in (("one", 0.8), ("two", 0.8), ("far", 0.4)):
        for seed in range(3):
            write_row(tmp_path, name, rights(rate, seed=len(name) * seed + ord(name[0])), seed)
    verdict, placed = judged(tmp_path)
    assert {name: (one.rank, one.last) for name, one in placed.items()} == {"one": (1, 2), "two": (1, 2), "far": (3, 3)}
    for entry, one in zip(held(tmp_path), verdict.placed, strict=True):
        assert one.low < entry.mean("top1") < one.high
    assert verdict.better[2] == (-1, -1, 0) and verdict.better[0][2] == 1
    assert 0.01 < verdict.smallest < 0.3


def test_a_head_against_its_copy(tmp_path):
    for name in ("one", "copy"):
        for seed in range(2):
            write_row(tmp_path, name, rights(0.7, seed=seed), seed)
    verdict, placed = judged(tmp_path)
    assert [one.rank for one in placed.values()] == [1, 1] and verdict.better == ((0, 0), (0, 0))


def test_older_rows_show_without_intervals(tmp_path, capsys):
    for name, rate in (("one", 0.8), ("two", 0.3)):
        write_row(tmp_path, name, rights(rate), kept=False)
    print_board([tmp_path])
    shown = capsys.readouterr().out
    assert "[low" not in shown and "rank" not in shown
    assert "no interval for one, two: its row keeps no contributions of images; `arena eval" in shown
    assert [(one["rank"], one["place"], one["interval"]) for one in plain(rankings(read_rows([tmp_path])))] == [
        (1, 1, None),
        (2, 2, None),
    ]


def test_an_older_row_among_others_has_no_rank(tmp_path, capsys):
    write_row(tmp_path, "one", rights(0.8))
    write_row(tmp_path, "old", rights(0.7), kept=False)
    write_row(tmp_path, "two", rights(0.3))
    verdict, placed = judged(tmp_path)
    assert placed["old"] is None and (placed["one"].rank, placed["two"].rank) == (1, 2)
    assert [verdict.rank(place) for place in range(3)] == [1, None, 2]
    print_board([tmp_path])
    assert "no interval for old" in capsys.readouterr().out


def damaged(folder):
    file = folder / "seed0/two/result.contributions.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def gone(folder):
    (folder / "seed0/two/result.contributions.safetensors").unlink()


def lying(folder):
    file = folder / "seed0/two/result.json"
    row = json.loads(file.read_text())
    file.write_text(json.dumps({**row, "metrics": {**row["metrics"], "top1": 0.71}}))


@pytest.mark.parametrize(
    ("harm", "words"),
    [(damaged, "not the file that the row names"), (gone, "cannot be read"), (lying, "its row says 0.71")],
)
def test_files_that_cannot_be_trusted_are_told(tmp_path, harm, words):
    write_row(tmp_path, "one", rights(0.8))
    write_row(tmp_path, "two", rights(0.6))
    harm(tmp_path)
    verdict, placed = judged(tmp_path)
    assert placed["two"] is None and placed["one"] is not None
    assert any("no interval for two" in note and words in note for note in verdict.notes)


def test_a_task_that_is_not_installed_is_told(tmp_path, monkeypatch):
    write_row(tmp_path, "one", rights(0.8))
    monkeypatch.setenv("ARGUS_DISABLE", "classify")
    verdict, _ = judged(tmp_path)
    assert not verdict.known and "no interval for one" in verdict.notes[0] and "disabled" in verdict.notes[0]


@pytest.mark.parametrize("images", [1, 2, 4])
def test_very_few_images_give_words(tmp_path, images, capsys):
    for name, right in (("one", True), ("two", False)):
        write_row(tmp_path, name, np.full(images, right))
    verdict, placed = judged(tmp_path)
    print_board([tmp_path])
    shown = capsys.readouterr().out
    if images == 1:
        assert "one image cannot be resampled" in shown and not verdict.known
    else:
        assert [one.rank for one in placed.values()] == [1, 1] and verdict.smallest is None
        assert f"no difference between these entries can be shown on {images} images" in shown


def test_an_undefined_score_gives_words(tmp_path, capsys):
    write_row(tmp_path, "one", [])
    print_board([tmp_path])
    assert "one: top1 is not defined" in capsys.readouterr().out


def test_resamples_on_which_a_score_is_undefined_are_left_out(tmp_path):
    """Class b is in one of two images: a quarter of the resamples know nothing of it."""
    write_row(tmp_path, "one", rights(0.8, 2))
    verdict, placed = judged(tmp_path, "class/b")
    assert verdict.score == "class/b" and placed["one"].low <= placed["one"].high


def test_seeds_on_other_images_are_told(tmp_path):
    for seed, images in ((0, 50), (1, 60)):
        same = {"data": {"spec": "folder:x", "train": {"sha256": "t"}, "val": {"sha256": "e", "images": 50}}}
        write_row(tmp_path, "three", rights(0.8, images), seed, **same)
    verdict, placed = judged(tmp_path)
    assert placed["three"] is None and "its seeds were not scored on the same images" in verdict.notes[0]


def test_one_seed_is_told(tmp_path):
    for seed in range(2):
        write_row(tmp_path, "many", rights(0.8, seed=seed), seed)
    write_row(tmp_path, "single", rights(0.5))
    notes = judged(tmp_path)[0].notes
    assert any(note.startswith("single: one seed: what is shown holds for these weights") for note in notes)


def test_exports_hold_intervals_and_ranks(tmp_path):
    write_row(tmp_path, "one", rights(0.8))
    write_row(tmp_path, "two", rights(0.3))
    ranked = rankings(read_rows([tmp_path]))
    (first, second) = csv.DictReader(io.StringIO(as_csv(ranked)))
    verdict, placed = judged(tmp_path)
    assert (first["rank"], second["rank"], second["last rank"]) == ("1", "2", "2")
    assert float(first["low"]) == placed["one"].low and float(first["high"]) == placed["one"].high
    assert float(first["smallest difference"]) == placed["one"].smallest and first["interval of"] == "top1"
    text = as_markdown(ranked)
    assert "| rank |" in text and f"[{placed['one'].low:.3f}, {placed['one'].high:.3f}]" in text
    assert f"* {verdict.notes[0]}" in text
    entry = plain(ranked)[0]
    assert entry["interval"] == {"of": "top1", **vars(placed["one"])} and entry["rank"] == entry["place"] == 1


def test_another_score_that_is_sorted_by_has_the_interval(tmp_path):
    write_row(tmp_path, "one", rights(0.8))
    write_row(tmp_path, "two", rights(0.3))
    (line, _) = csv.DictReader(io.StringIO(as_csv(rankings(read_rows([tmp_path]), "class/b"), "class/b")))
    assert line["interval of"] == "class/b" and float(line["low"]) < float(line["class/b"]) < float(line["high"])
    (line, _) = csv.DictReader(io.StringIO(as_csv(rankings(read_rows([tmp_path]), "parameters"), "parameters")))
    assert line["interval of"] == "top1"


def test_a_board_shows_what_it_rests_on(tmp_path, capsys):
    for name, rate in (("one", 0.8), ("two", 0.75), ("three", 0.3)):
        for seed in range(2):
            write_row(tmp_path, name, rights(rate, seed=seed + len(name)), seed)
    print_board([tmp_path])
    shown = capsys.readouterr().out
    assert "[low, high]: 95 % interval of top1 over 200 images and the seeds" in shown
    assert "rank: 1 + the entries that are shown to be better (95 % over all 3 comparisons)" in shown
    assert "the smallest difference that 200 images and these seeds can show: 0." in shown
