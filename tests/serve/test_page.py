"""The page in a browser: its layers, what it reads out, and what is similar."""

from __future__ import annotations

import time

import pytest

from argus_core.serve.look import LEAST_SCORE
from page_help import example, small_argus

# ---- layers


def test_the_layers_are_those_of_the_heads_and_each_control_changes_the_picture(page):
    page.take(0)
    kinds = page.js("return [...document.querySelectorAll('.layer')].map((one) => one.dataset.kind)")
    assert kinds == ["photo", "similar", "classes", "boxes", "masks", "depth", "components"]
    assert [kind for kind in kinds if page.switch(kind).is_selected()] == ["photo", "boxes", "masks"]
    assert not page.switch("similar").is_enabled()
    for kind in kinds:
        if kind == "similar":
            continue
        before = page.picture()
        page.switch(kind).click()
        after = page.changed(before)
        if not page.switch(kind).is_selected():
            page.switch(kind).click()
            assert page.changed(after) == before
        opacity = f".layer[data-kind={kind}] .head input[type=range]"
        page.set(opacity, 0.3)
        assert page.picture() not in (before, after), kind
        page.set(opacity, 0.6)


def test_a_legend_entry_shows_its_class_alone_and_a_click_keeps_it(page):
    page.take(0)
    page.switch("boxes").click()
    plain = page.picture()
    entry = page.find(".layer[data-kind=masks] .entry")
    assert entry.text.split("\n")[0] == "wall" and "%" in entry.text
    page.js("arguments[0].focus()", entry)
    alone = page.picture()
    assert alone != plain
    page.js("arguments[0].blur()", entry)
    assert page.picture() == plain
    page.js("arguments[0].click(); arguments[0].blur()", entry)
    assert page.picture() == alone and entry.get_attribute("aria-pressed") == "true"
    page.js("arguments[0].click(); arguments[0].blur()", entry)
    assert page.picture() == plain and entry.get_attribute("aria-pressed") == "false"


def test_the_threshold_of_boxes_works_without_a_request(page):
    page.take(0)
    page.requests()

    def shown():
        notes = page.js(
            "return [...document.querySelectorAll('.layer[data-kind=boxes] .note')].map((n) => n.textContent)"
        )
        return sum(int(note.split()[0]) for note in notes)

    slider = ".layer[data-kind=boxes] .field input"
    assert float(page.find(slider).get_attribute("min")) == LEAST_SCORE
    counts = []
    for threshold in (0.05, 0.3, 0.45, 1):
        page.set(slider, threshold)
        counts.append(shown())
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[1] > counts[2] > counts[3] == 0
    assert "No object scores" in page.text(".layer[data-kind=boxes]")
    assert page.text(".layer[data-kind=boxes] output") == "1.00" and page.requests() == []


def test_boxes_that_masks_doubt_are_dashed_and_named(page):
    page.take(0)
    slider, layer = ".layer[data-kind=boxes] .field input", ".layer[data-kind=boxes]"
    page.set(slider, LEAST_SCORE)
    said = page.text(layer)
    number = int(said.split("Dashed: ")[1].split()[0])
    assert number > 0 and "without a mask of the same class" in said
    page.set(slider, 1)
    assert "Dashed" not in page.text(layer)


def test_tokens_can_be_seen_smooth_and_of_other_layers(page):
    page.take(0)
    page.switch("components").click()
    page.until("return document.querySelector('.layer[data-kind=components]').dataset.shown == 'true'")
    options = page.all(".layer[data-kind=components] option")
    assert [option.text for option in options] == ["layer 11, cells of 16 px"]
    time.sleep(0.3)
    cells = page.picture()
    page.click(".layer[data-kind=components] input[type=checkbox]:not([role])")
    assert page.picture() != cells
    page.js("const s = document.querySelector('.layer select'); s.dispatchEvent(new Event('change'))")
    page.until("return document.getElementById('notice').textContent === ''")


# ---- reading


def test_the_reading_under_the_pointer_is_what_the_model_says(page):
    page.take(0)
    seen = small_argus().perceive(example("coffee"))
    for x, y in ((100.5, 50.5), (300.5, 200.5), (580.5, 390.5)):
        page.point(x, y)
        said, (across, down) = page.reading(), page.reading()["Pixel"].split(", ")
        row, column = int(down), int(across)
        assert abs(row - y) <= 2 and abs(column - x) <= 2
        name = seen["rooms"].classes[seen["rooms"].labels[row, column]]
        sure = round(100 * float(seen["rooms"].confidence[row, column]))
        assert said["Masks"].startswith(f"{name}, ")
        assert abs(int(said["Masks"].split(", ")[-1].split()[0]) - sure) <= 1
        metres, deviation = (float(part.split()[0]) for part in said["Depth"].split("±"))
        assert metres == pytest.approx(float(seen["metres"].metres[row, column]), abs=0.02)
        assert deviation == pytest.approx(float(seen["metres"].deviation[row, column]), abs=0.03)
    best = seen["things"][0]
    x1, y1, x2, y2 = best["box"]
    page.point((x1 + x2) / 2, (y1 + y2) / 2)
    assert f"{best['class_name']} {best['score']:.2f}" in page.reading()["Boxes"]
    page.find("h1").click()


# ---- similarities


def test_a_click_shows_what_is_similar_here_and_in_a_second_photograph(page):
    page.take_two()
    assert page.js("return document.querySelectorAll('.stage').length") == 2
    before = [page.picture(0), page.picture(1)]
    page.point(432, 221, click=True)
    page.until("return document.getElementById('clear-point')")
    assert [page.picture(0), page.picture(1)] != before
    assert page.switch("similar").is_selected() and not page.switch("masks").is_selected()
    column, row = (int(part) for part in page.reading()["Pixel"].split(", "))
    match = small_argus().correspond(example("scene"), example("scene-moved"), [[column + 0.5, row + 0.5]])
    said = page.text(".layer[data-kind=similar]")
    assert float(said.split("other photograph: cosine ")[1][:4]) == pytest.approx(match.matches.scores[0], abs=0.02)
    assert "cosine 1.00" in page.reading()["Similar"] and "by the head matches" in said
    page.point(100, 300, stage=1, click=True)  # the other way round
    page.until("return !document.querySelector('.layer[data-kind=similar]').textContent.includes(arguments[0])", said)
    page.click("#clear-point")
    assert page.js("return !document.getElementById('clear-point')") and page.switch("masks").is_selected()
    page.point(20, 20)
    page.find("h1").click()
    page.js("document.activeElement.blur()")
    assert [page.picture(0), page.picture(1)] == before
    page.click("#close-second")
    assert len(page.all(".stage")) == 1 and page.find("#second").is_displayed()


def test_both_photographs_share_colours_and_the_panel_names_both(page):
    page.take_two()
    heads = page.js(
        "return [...document.querySelectorAll('.layer[data-kind=classes] h3')].map((one) => one.textContent)"
    )
    assert heads == ["scene.jpg", "scene-moved.jpg"]
    notes = page.all(".layer[data-kind=masks] .entry:first-child .note")
    assert len(notes) >= 2
    page.point(100, 100, stage=1)
    assert page.reading()["Pixel"].startswith(("99,", "100,", "101,"))
