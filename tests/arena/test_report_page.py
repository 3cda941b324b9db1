"""The report page: its numbers, its pictures, what it says where data are gone, and how it behaves in a browser."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from arena_help import DATA, settings, small_cache, train_run
from argus_arena.cli import app
from argus_arena.leaderboard.standings import Standing, rankings, read_rows
from argus_arena.report_page.collect import MOST, curves, labels, ring_values, score_groups
from argus_arena.report_page.look import Predictions, look, spaced
from argus_arena.report_page.page import fill, write_report
from argus_arena.report_page.pictures import disagreement, disagreements, matched, predictions
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes, Detect, Detections
from page_browser import a_browser

HOSTILE = "</script><script>hacked=1</script><img src=x onerror='hacked=1'>&amp;"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two heads, one of them twice, on cached tokens."""
    folder = tmp_path_factory.mktemp("report")
    given = {"heads": ("fcos", "split_tower"), "data": DATA, "cache": str(small_cache(folder / "cache"))}
    train_run(given, settings("fcos", "split_tower", epochs=1), folder / "run")
    return folder / "run"


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def held(folder) -> list[Standing]:
    [standings] = rankings(read_rows([folder])).values()
    return standings


def data_of(page: Path):
    """The values in a page, by the rules of HTML: the block ends at the first closing tag."""
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script', page.read_text(), re.DOTALL)
    return json.loads(text)


def found(*boxes, labels=None) -> Detections:
    count = len(boxes)
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.full((count,), 0.9),
        torch.tensor(labels or [0] * count, dtype=torch.long),
    )


# ---- numbers


def test_entries_are_ranked_as_on_the_board_with_every_score_and_cost(run):
    standings = held(run)
    values = ring_values(standings)
    assert [one["label"] for one in values["entries"]] == [one.name for one in standings]
    for entry, standing in zip(values["entries"], standings, strict=True):
        row = standing.rows[0]
        assert entry["costs"]["parameters"] == row["parameters"] and entry["costs"]["macs"] == row["macs"]
        assert {key: mean for key, (mean, _) in entry["scores"].items()} == row["metrics"]
    assert values["primary"] == "AP" and values["higher"] and values["images"] == 6


def test_every_score_is_in_the_leaderboard_or_in_a_table():
    scores = ["AP", "AP50", "AP_small", "AP_large", "AR1", "AR_small", "AP/a_small", "AP/b/c", "class/d"]
    groups = score_groups(scores, ["AP", "AP50"])
    assert [(one["title"], one["keys"]) for one in groups] == [
        ("AP by size", ["AP_small", "AP_large"]),
        ("AR by size", ["AR_small"]),
        ("AP by class", ["AP/a_small", "AP/b/c"]),
        ("Scores by class", ["class/d"]),
        ("Other scores", ["AR1"]),
    ]


def test_entries_of_one_name_are_told_apart(run):
    row = held(run)[0].rows[0]
    assert labels([Standing(({**row, "name": name},)) for name in "aba"]) == ["a", "b", "a (2)"]


def test_curves_are_those_of_the_log(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for standing in held(run):
        [one] = curves(standing)
        own = [line for line in lines if line["head"] == standing.name]
        assert one["loss"] == [(line["epoch"], line["loss"]) for line in own if "loss" in line]
        variant = standing.rows[0]["selected"]["variant"]
        scored = [line for line in own if line.get("weights") == variant]
        assert one["score"] == [(line["epoch"], line["eval"]["AP"]) for line in scored if "reported" not in line]
        assert one["split"] == ("val" if one["score"] else "")


def test_of_a_sweep_the_chosen_rate_is_drawn_and_a_cut_line_is_passed_over(tmp_path):
    (tmp_path / "h").mkdir()
    rows = [
        {"head": "h", "epoch": n, "trial": rate, "loss": loss}
        for n in range(1000)
        for rate, loss in (("a", 1), ("b", 2))
    ]
    rows += [{"head": "h", "epoch": 9, "weights": w, "eval": {"AP": v}} for w, v in (("a ema", 3), ("a", 4), ("b", 5))]
    rows += [{"head": "h", "epoch": 10, "weights": "a ema", "eval": {"AP": None}}]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"head": "h", "epo'
    (tmp_path / "log.jsonl").write_text(text)
    row = {"path": str(tmp_path / "h" / "result.json"), "name": "h", "primary": "AP", "seed": 0}
    [one] = curves(Standing(({**row, "selected": {"variant": "a ema"}},)))
    assert {value for _, value in one["loss"]} == {1} and one["score"] == [(9, 3)]
    assert len(one["loss"]) <= MOST and one["loss"][-1][0] == 999
    assert curves(Standing(({**row, "path": "scores/x.json", "selected": {"variant": "a"}},))) == []


def test_images_are_spread_over_the_split():
    assert spaced(range(100), 4) == [12, 37, 62, 87]
    assert spaced([3, 5], 8) == [3, 5] and spaced([], 3) == []


# ---- agreement


def test_heads_agree_with_themselves_and_not_with_others_boxes_or_classes():
    one = found((0, 0, 10, 10), (20, 20, 30, 40), labels=[0, 1])
    assert disagreement(one, one) == 0
    assert disagreement(one, found((0, 0, 10, 10), (20, 20, 30, 40), labels=[1, 0])) == 1
    assert disagreement(one, found((50, 0, 60, 10))) == 1
    assert disagreement(one, found()) == 1 and disagreement(found(), found()) == 0
    half = found((0, 0, 10, 9), (70, 70, 80, 80))
    assert disagreement(one, half) == disagreement(half, one) == 0.5


def test_pairs_are_one_to_one_and_as_many_as_there_can_be():
    # Most overlap first would pair the middle boxes and leave one on either side.
    left = found((0, 0, 100, 10), (20, 0, 120, 10))
    right = found((18, 0, 118, 10), (40, 0, 140, 10))
    assert [mask.tolist() for mask in matched(left, right)] == [[True, True], [True, True]]
    twice = found((0, 0, 10, 10), (0, 0, 10, 10))
    assert matched(twice, found((0, 0, 10, 10)))[0].sum() == 1


# ---- pictures


class Drawn:
    """A split of three images of unlike shapes with one object each."""

    shapes = ((40, 25), (900, 601), (300, 300))

    def key(self, index):
        return f"{index}-{HOSTILE}"

    def read(self, index):
        return np.full((*self.shapes[index], 3), 200, dtype=np.uint8)

    def truth(self, index, task):
        return Boxes(np.array([[2.0, 2, 20, 20]]), np.array([1]), np.array([False]), np.array([324.0]))


def seen(predictions, shown=(0, 1)) -> Predictions:
    return Predictions(Drawn(), Detect(classes=("cat", HOSTILE)), ("a", "b"), predictions, tuple(shown))


def decoded(tile):
    return Image.open(io.BytesIO(base64.b64decode(tile["src"].removeprefix("data:image/jpeg;base64,"))))


def test_truth_and_heads_stand_side_by_side_at_a_size_for_a_page():
    right, wrong = found((2, 2, 20, 20), labels=[1]), found((2, 2, 20, 20))
    rows = predictions(seen({0: {"a": right, "b": wrong}, 1: {"a": found(), "b": right}}))
    assert [[tile["title"] for tile in row["tiles"]] for row in rows] == [["truth", "a", "b"]] * 2
    notes = [[tile["note"] for tile in row["tiles"][1:]] for row in rows]
    assert notes[0] == ["1 of 1 found, 0 extra", "0 of 1 found, 1 extra"]
    assert notes[1] == ["0 of 1 found, 0 extra", "1 of 1 found, 0 extra"]
    assert [decoded(row["tiles"][1]).size for row in rows] == [(300, 480), (321, 480)]


def test_images_are_ordered_by_how_much_heads_differ_and_say_who_found_what():
    both, more = found((2, 2, 20, 20)), found((2, 2, 20, 20), (30, 30, 50, 50), (60, 60, 90, 90), labels=[0, 1, 1])
    result = disagreements(
        seen({0: {"a": both, "b": both}, 1: {"a": both, "b": more}, 2: {"a": both, "b": found()}}, shown=(0, 1, 2))
    )
    assert [(row["key"][0], row["value"]) for row in result["rows"]] == [("2", 1.0), ("1", 0.5)]
    assert [tile["note"] for tile in result["rows"][1]["tiles"][1:]] == [
        "alone: nothing; with the other: 1",
        f"alone: 2 {HOSTILE}; with the other: 1",
    ]
    assert result["pairs"] == [["a", "b", 0.5]] and result["images"] == 3


def test_one_head_disagrees_with_nobody():
    alone = Predictions(Drawn(), Detect(classes=("cat",)), ("a",), {0: {"a": found()}}, (0,))
    assert disagreements(alone) == {"images": 1, "pairs": [], "rows": []}


# ---- running heads


def test_without_its_cache_a_run_is_looked_at_live_with_the_same_boxes(run, copied):
    cached = look(held(run), 4, 0, "cpu")
    record = json.loads((copied / "run.json").read_text())
    record["config"]["request"]["cache"] = "gone"
    (copied / "run.json").write_text(json.dumps(record))
    live = look(held(copied), 4, 0, "cpu")
    assert cached.shown == live.shown and set(cached.heads) == {"fcos", "split_tower"}
    assert len(cached.predictions) == 6
    least = min(float(boxes.scores.min()) for by_head in cached.predictions.values() for boxes in by_head.values())
    strict = look(held(run), 4, least + 0.01, "cpu").predictions
    for index, by_head in cached.predictions.items():
        for name, boxes in by_head.items():
            assert strict[index][name].scores.tolist() == [s for s in boxes.scores.tolist() if s >= least + 0.01]
        for name, boxes in by_head.items():
            assert boxes.scores[:5].numpy() == pytest.approx(live.predictions[index][name].scores[:5].numpy(), abs=2e-3)


def test_the_page_holds_pictures_of_the_images_asked_for(run, tmp_path):
    write_report([run], tmp_path / "page.html", images=3, device="cpu")
    [ring] = data_of(tmp_path / "page.html")["rings"]
    assert len(ring["pictures"]["predictions"]) == 3 and ring["pictures"]["note"] == ""
    assert ring["pictures"]["disagreements"]["images"] == 6
    assert [len(row["tiles"]) for row in ring["pictures"]["predictions"]] == [3, 3, 3]


def test_where_weights_are_gone_the_others_are_drawn_and_without_any_a_note_stands(copied, tmp_path):
    (copied / "fcos" / "best.safetensors").unlink()
    [ring] = write_report([copied], tmp_path / "a.html", 2, device="cpu")["rings"]
    assert "fcos: " in ring["pictures"]["note"] and len(ring["pictures"]["predictions"]) == 2
    (copied / "split_tower" / "best.safetensors").unlink()
    [ring] = write_report([copied], tmp_path / "b.html", 2, device="cpu")["rings"]
    assert "there are no pictures" in ring["pictures"]["note"] and not ring["pictures"]["predictions"]
    assert len(ring["entries"]) == 2 and ring["curves"]


def test_data_that_are_gone_or_changed_leave_the_rest_of_the_page(copied, tmp_path):
    for spec, why in (("coco:gone", "gone"), ("scenes:images=20,val=6,size=32", "have changed since")):
        for row in copied.glob("*/result.json"):
            values = json.loads(row.read_text())
            row.write_text(json.dumps({**values, "data": {**values["data"], "spec": spec}}))
        [ring] = write_report([copied], tmp_path / "page.html", 2, device="cpu")["rings"]
        assert why in ring["pictures"]["note"] and len(ring["entries"]) == 2


def test_the_command_writes_the_page_and_says_what_is_missing(copied, tmp_path):
    out = tmp_path / "new" / "page.html"
    (copied / "failures.json").write_text(json.dumps({"seed0/x": f"ValueError: {HOSTILE}"}))
    result = CliRunner().invoke(app, ["report", str(copied), "--out", str(out), "--images", "0"])
    assert result.exit_code == 0, result.output
    assert "report: " in result.output and "no pictures were asked for" in result.output
    assert data_of(out)["failures"] == [f"seed0/x: ValueError: {HOSTILE}"]
    with pytest.raises(ArgusError, match=r"no result below .* is of task 'depth'"):
        write_report([copied], out, task="depth")


# ---- the page itself


def test_no_text_can_leave_the_block_of_data(tmp_path):
    text = fill({"title": HOSTILE, "rings": [HOSTILE, "\u2028$style"]})
    (tmp_path / "page.html").write_text(text)
    assert data_of(tmp_path / "page.html") == {"title": HOSTILE, "rings": [HOSTILE, "\u2028$style"]}
    assert text.count("<script") == text.count("</script") == 2 and "<img" not in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with a_browser(tmp_path_factory.mktemp("profile"), "1400,1200") as driver:
        yield driver


@pytest.fixture(scope="module")
def values(run, tmp_path_factory):
    """Two rankings: of four entries with known numbers and hostile names, and of one."""
    made = write_report([run], tmp_path_factory.mktemp("values") / "page.html", images=1, device="cpu")
    [ring] = made["rings"]
    entry = ring["entries"][0]
    ring["entries"] = [
        {**entry, "label": name, "costs": {**entry["costs"], "parameters": size}, "notes": [HOSTILE]}
        | {"scores": {**entry["scores"], "AP": [ap, 0.01], "AP50": [half, None]}}
        | {"rank": rank, "interval": [ap - 0.06, ap + 0.05]}
        for name, size, ap, half, rank in (
            ("big", 900_000, 0.5, 0.6, 1),
            ("small", 1000, 0.4, None, 1),
            (HOSTILE, 20_000, 0.3, 0.9, 2),
            ("middle", 5000, 0.2, 0.1, 3),
        )
    ]
    better = [[0, 0, 1, 1], [0, 0, 0, 1], [-1, 0, 0, 0], [-1, -1, 0, 0]]
    ring["verdict"] = {"known": True, "better": better, "notes": [HOSTILE]}
    ring["pictures"]["predictions"][0]["key"] = HOSTILE
    ring["groups"][0]["keys"].append(f"AP/{HOSTILE}")
    other = copy.deepcopy(ring) | {"protocol": "other-1", "curves": []}
    other["entries"] = other["entries"][:1]
    return {**made, "rings": [ring, other], "failures": [HOSTILE]}


@pytest.fixture
def page(browser, values, tmp_path):
    (tmp_path / "page.html").write_text(fill(values), encoding="utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def names(page, ring=0):
    script = "return [...document.querySelectorAll(arguments[0])].filter(r => !r.hidden).map(r => r.dataset.label)"
    return page.execute_script(script, f"[data-ring='{ring}'] > section:first-of-type tbody tr")


def click(page, selector):
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_a_click_on_a_heading_sorts_and_another_turns_the_order(page):
    assert names(page) == ["big", "small", HOSTILE, "middle"]
    click(page, "[data-key=parameters]")
    assert names(page) == ["small", "middle", HOSTILE, "big"]
    click(page, "[data-key=parameters]")
    assert names(page) == ["big", HOSTILE, "middle", "small"]
    for _ in range(2):
        click(page, "[data-key=AP50]")
        assert names(page)[-1] == "small"  # which has none
    assert names(page) == ["middle", "big", HOSTILE, "small"]
    [head] = page.find_elements("css selector", "[data-ring='0'] > section:first-of-type th[aria-sort=ascending]")
    assert head.text == "AP50"
    click(page, "[data-key=name]")
    assert names(page) == [HOSTILE, "big", "middle", "small"]
    assert names(page, 1) == ["big"]


def test_pairs_intervals_and_equal_ranks_are_shown(page):
    texts = "return [...document.querySelectorAll(arguments[0])].map(cell => cell.textContent)"
    pairs = page.execute_script(texts, "[data-ring='0'] table.pairs tbody td")
    assert "".join(sign or " " for sign in pairs) == " ·++· ·+−· ·−−· "
    board = page.execute_script(texts, "[data-ring='0'] > section:first-of-type tbody td")
    assert "0.500 [0.440, 0.550]" in board
    ranks = page.execute_script(texts, "[data-ring='0'] > section:first-of-type tbody tr td:first-child")
    assert ranks == ["1", "1", "2", "3"]
    assert not page.find_elements("css selector", "[data-ring='1'] table.pairs")


def test_the_filters_hide_entries_everywhere_and_whole_rankings(page):
    page.find_element("id", "filter").send_keys("MIDD")
    assert names(page) == ["middle"] and names(page, 1) == []
    drawn = (
        "return [...document.querySelectorAll('[data-chart=scatter] circle')].map(c => c.getAttribute('aria-label'))"
    )
    assert [text.split(",")[0] for text in page.execute_script(drawn)] == ["middle"]
    page.find_element("id", "filter").clear()
    page.find_element("id", "filter").send_keys(" ")
    assert len(names(page)) == 4
    sections = page.find_elements("css selector", "[data-ring]")
    page.find_element("css selector", "#ring option[value='1']").click()
    assert [one.is_displayed() for one in sections] == [False, True]
    page.find_element("css selector", "#ring option[value='']").click()
    assert [one.is_displayed() for one in sections] == [True, True]


def test_the_front_holds_what_nothing_cheaper_beats(page):
    front = page.find_element("css selector", "[data-ring='0'] [data-front]").get_attribute("data-front")
    assert front == "small\nbig"


def test_a_legend_entry_hides_its_curve_and_a_picture_opens(page):
    def drawn():
        return page.execute_script("return document.querySelectorAll('[data-chart=loss] path').length")

    before = drawn()
    click(page, ".legend button")
    assert drawn() == before - 1
    click(page, ".legend button")
    assert drawn() == before
    click(page, ".shot button")
    assert page.find_element("css selector", "dialog[open] img").is_displayed()


def test_text_stays_text_and_no_request_leaves_the_page(page):
    assert page.execute_script("return typeof hacked") == "undefined"
    assert page.execute_script("return document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    assert HOSTILE in page.find_element("tag name", "main").text
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    refused = """
        const done = arguments[0];
        addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
        document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x" }));
    """
    assert page.execute_async_script(refused) == "img-src"
    assert all("Content Security Policy" in line["message"] for line in page.get_log("browser"))


@pytest.mark.parametrize("width", [380, 1400])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_window_size(width, 900)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
