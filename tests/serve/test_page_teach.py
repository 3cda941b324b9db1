"""The page in a browser while something is taught: marks by pointer and by keys, what is seen, and what is saved."""

from __future__ import annotations

import json
import time
import zipfile

import pytest

from argus_core import Argus, open_data
from page_browser import OPEN, WIDE, Page
from page_help import HOSTILE, example, served, small_argus

TAUGHT = "return document.querySelector('.layer[aria-label=Taught]') && !document.querySelector('.missing').textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "taught"


@pytest.fixture(scope="module")
def teaching_server(folder):
    with served(small_argus(), taught=folder) as url:
        yield url


@pytest.fixture
def teach(browser, teaching_server):
    """The page with a photograph, about to be taught."""
    page = Page(browser, teaching_server).ready()
    page.take(0)
    page.click("#teach")
    yield page
    page.check()


def choose(page, number: int) -> None:
    page.js("document.querySelectorAll('[name=teach-class]')[arguments[0]].click()", number)


def mark(page, number: int, x: float, y: float) -> None:
    choose(page, number)
    page.point(x, y, click=True)


def counts(page) -> list[str]:
    return page.js("return [...document.querySelectorAll('.classes .note')].map((node) => node.textContent)")


def put(page, selector: str, value: str) -> None:
    """Give a field another value, as typing does."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    page.js(script, page.find(selector), value)


def until_taught(page) -> None:
    page.until(TAUGHT)


def told(page) -> str:
    return page.text(".missing")


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a box between pixels of the first example."""
    frame = page.find(".frame")
    page.js("arguments[0].scrollIntoView({block: 'center'})", frame)
    scale = frame.rect["width"] / 600
    shift = [(x - 300) * scale for x in (start[0], end[0])], [(y - 200) * scale for y in (start[1], end[1])]
    actions = page._actions().move_to_element_with_offset(frame, shift[0][0], shift[1][0]).click_and_hold()
    actions.move_to_element_with_offset(frame, shift[0][1], shift[1][1]).release().perform()


def test_two_marks_make_a_layer_and_what_is_missing_is_said(teach):
    assert told(teach) == "Click on what you mean."
    plain = teach.picture()
    mark(teach, 0, 300, 150)
    assert "something else" in told(teach) and counts(teach) == ["1", "0"]
    marked = teach.picture()
    mark(teach, 1, 40, 40)
    until_taught(teach)
    assert counts(teach) == ["1", "1"]
    assert teach.reading()["Taught"].startswith("something else, ")  # the pointer has not moved since the click
    shown = teach.changed(plain)
    assert shown != marked
    teach.click("[data-key='teach undo']")
    teach.until("return !document.querySelector('.layer[aria-label=Taught]')")
    assert counts(teach) == ["1", "0"] and teach.picture() == plain
    assert "Taught" not in teach.reading()


def test_the_layer_says_what_the_head_says_and_has_the_colours_of_the_classes(teach):
    mark(teach, 0, 300, 150)
    mark(teach, 1, 40, 40)
    until_taught(teach)
    teach.point(300.5, 150.5)
    assert teach.reading()["Taught"].startswith("class 1, ")
    teach.point(40.5, 40.5)
    assert teach.reading()["Taught"].startswith("something else, ")
    teach.find("h1").click()
    before = teach.picture()
    teach.requests()
    put(teach, ".classes [type=color]", "#ff0000")
    teach.changed(before)
    assert teach.requests() == []


def test_marks_are_taken_away_by_a_click_from_the_list_and_all_at_once(teach):
    for x, y in ((300, 150), (200, 100)):
        mark(teach, 0, x, y)
    mark(teach, 1, 40, 40)
    until_taught(teach)
    teach.point(301, 151, click=True)
    teach.until("return document.querySelector('.classes .note').textContent === '1'")
    teach.click(".marks summary")
    assert len(teach.all(".marks li")) == 2
    teach.click(".marks li button")
    teach.until("return document.querySelectorAll('.marks li').length === 1")
    assert teach.js("return document.querySelector('.marks').open")
    teach.click("[data-key='teach clear']")
    assert counts(teach) == ["0", "0"]
    for expected in (["0", "1"], ["1", "1"], ["2", "1"]):
        teach.click("[data-key='teach undo']")
        assert counts(teach) == expected
    until_taught(teach)


def test_classes_are_added_named_and_removed_and_names_stay_text(teach):
    mark(teach, 0, 300, 150)
    teach.click("[data-key='teach add']")
    active = teach.driver.switch_to.active_element
    assert active.get_attribute("value") == "class 2"
    teach.press(HOSTILE[:60])
    teach.find("h1").click()
    mark(teach, 1, 500, 380)
    mark(teach, 2, 40, 40)
    until_taught(teach)
    teach.until("return document.querySelector('.layer[aria-label=Taught]').textContent.includes('hacked')")
    assert HOSTILE[:60] in teach.text(".layer[aria-label=Taught]")
    assert teach.js("return document.querySelectorAll('img[src=x]').length") == 0
    put(teach, "[data-key='teach name 2']", "class 1")
    teach.js("document.querySelector(`[data-key='teach name 2']`).dispatchEvent(new Event('change'))")
    assert "another name" in told(teach)
    teach.click("[data-key='teach remove 2']")
    until_taught(teach)
    assert counts(teach) == ["1", "1"]


def test_everything_is_done_by_keyboard(teach):
    from selenium.webdriver.common.keys import Keys

    teach.js("document.querySelector('.frame').focus()")
    assert "Enter marks a point" in teach.find(".frame").accessible_name
    teach.press(Keys.HOME, Keys.ENTER)
    assert counts(teach) == ["1", "0"]
    teach.press("0", *[Keys.ARROW_LEFT] * 10, Keys.ENTER)
    until_taught(teach)
    assert counts(teach) == ["1", "1"]
    teach.press(Keys.DELETE)
    assert counts(teach) == ["1", "0"]
    teach.press_with(Keys.CONTROL, "z")
    until_taught(teach)
    assert counts(teach) == ["1", "1"]
    teach.press("1")
    assert teach.js("return document.querySelectorAll('[name=teach-class]')[0].checked")
    teach.press(Keys.ESCAPE)
    assert teach.find("#teach").get_attribute("aria-pressed") == "false" and not teach.all(".teach")
    assert teach.all(".layer[aria-label=Taught]")


def test_boxes_are_drawn_dragged_clicked_and_by_keys(teach):
    from selenium.webdriver.common.keys import Keys

    teach.click("[data-key='teach detect']")
    assert "Draw a box" in told(teach) and counts(teach) == ["0"]
    drag(teach, (150, 40), (400, 300))
    teach.until("return document.querySelector('.layer[aria-label=Taught]')")
    assert counts(teach) == ["1"]
    teach.point(20, 20, click=True)
    teach.point(100, 120, click=True)
    assert counts(teach) == ["2"]
    teach.js("document.querySelector('.frame').focus()")
    teach.press(Keys.HOME, Keys.ENTER, *[Keys.ARROW_RIGHT] * 3, *[Keys.ARROW_DOWN] * 3, Keys.ENTER)
    assert counts(teach) == ["3"]
    teach.press(Keys.DELETE)
    assert counts(teach) == ["2"]
    marks = teach.js("return [...document.querySelectorAll('.marks .name')].map((node) => node.textContent)")
    assert [mark.split(" at ")[0] for mark in marks] == ["class 1"] * 2
    for text, corners in zip(marks, ((150, 40, 400, 300), (20, 20, 100, 120)), strict=True):
        found = [int(part) for part in text.split(" at ")[1].split(", ")]
        assert all(abs(one - other) <= 2 for one, other in zip(found, corners, strict=True))
    teach.click("[data-key='teach segment']")
    assert counts(teach) == ["0", "0"]
    teach.until("return !document.querySelector('.layer[aria-label=Taught]')")


def test_another_photograph_shows_what_was_taught_and_the_first_keeps_its_marks(teach):
    mark(teach, 0, 300, 150)
    mark(teach, 1, 40, 40)
    until_taught(teach)
    teach.click("#new")
    teach.take(1, "#chooser")
    until_taught(teach)
    assert "coffee.jpg" in teach.text(".teach") and counts(teach) == ["1", "1"]
    teach.point(200, 150)
    assert "Taught" in teach.reading()
    teach.click("#new")
    teach.take(0, "#chooser")
    assert len(teach.all(".marks li")) == 2


def test_a_head_is_saved_with_the_model_and_the_labels_are_a_data_set(teach, folder, tmp_path):
    teach.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    mark(teach, 0, 300, 150)
    mark(teach, 1, 40, 40)
    until_taught(teach)
    put(teach, "[data-key='teach head name']", "cup")
    teach.click("[data-key='teach save']")
    teach.until("return document.querySelector('.saving').textContent.includes('Saved as')")
    assert "argus segment PHOTO --model taught/cup --head cup" in teach.text(".saving")
    said = Argus.load(folder / "cup").segment(example("coffee"), head="cup")
    teach.point(100.5, 300.5)
    assert teach.reading()["Taught"].startswith(said.classes[said.labels[300, 100]])
    teach.click("[data-key='teach labels']")
    path, end = tmp_path / "cup-labels.zip", time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and sorted(archive.namelist()) == ["clicks.json", "coffee.jpg"]
        archive.extractall(tmp_path / "labels")
        clicks = json.loads(archive.read("clicks.json"))
    assert clicks["classes"] == ["class 1", "something else"]
    [data] = open_data(f"clicks:{tmp_path / 'labels'}").values()
    assert len(data) == 1 and data.tasks["segment"].classes == ("class 1", "something else")


def test_a_server_that_saves_nothing_says_how_and_a_fault_is_told(page):
    page.take(0)
    page.click("#teach")
    assert "--taught FOLDER" in page.text(".saving") and not page.all("[data-key='teach save']")
    assert not page.find("[data-key='teach head']").is_enabled()


def test_it_fits_a_phone(teach):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    teach.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        mark(teach, 0, 300, 150)
        mark(teach, 1, 40, 40)
        until_taught(teach)
        assert teach.js(WIDE) == []
    finally:
        teach.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert teach.js(OPEN, 1)
