"""The page in a browser: how photographs get in, and what is seen gets out."""

from __future__ import annotations

import base64
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from page_browser import OPEN
from page_help import example, png, small_argus


def test_a_file_is_chosen_and_turned_upright(page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(png(example("coffee"), format="JPEG", exif=exif))
    page.find("#start input[type=file]").send_keys(str(tmp_path / "turned.jpg"))
    page.until(OPEN, 1)
    box = page.find(".frame").rect
    assert box["height"] / box["width"] == pytest.approx(1.5, abs=0.02)
    assert page.text("figcaption span") == "turned.jpg"


def test_a_format_that_the_browser_cannot_show_is_shown_by_the_server(page, tmp_path):
    (tmp_path / "scan.tif").write_bytes(png(example("coffee"), format="TIFF"))
    page.find("#start input[type=file]").send_keys(str(tmp_path / "scan.tif"))
    page.until(OPEN, 1)
    page.switch("masks").click()
    page.picture()
    assert np.abs(np.array(page.js(MIDDLE)[:3]) - example("coffee")[200, 300]).max() < 30


MIDDLE = """
    const { width, height } = document.querySelector(".frame canvas");
    const pen = document.querySelector(".frame canvas").getContext("2d");
    return [...pen.getImageData(width / 2, height / 2, 1, 1).data];
"""
GIVE = """
    const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    if (arguments[0]) data.items.add(new File([bytes], "given.png", { type: "image/png" }));
    const [kind, target] = arguments[1] === "drop" ? ["dataTransfer", DragEvent] : ["clipboardData", ClipboardEvent];
    const where = document.querySelector(arguments[2]);
    where.dispatchEvent(new target(arguments[1], { [kind]: data, bubbles: true, cancelable: true }));
"""


def test_what_was_read_of_a_photograph_is_not_said_of_the_next(page):
    page.take(0)
    page.point(570, 380)
    before = page.reading()["Pixel"]
    assert before.startswith("5")
    page.js(GIVE, base64.b64encode(png(example("cat"))).decode(), "drop", "body")
    page.until("return document.querySelector('figcaption span').textContent === 'given.png'")
    assert page.reading()["Pixel"] != before


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photographs_are_dropped_and_pasted(page, way):
    data = base64.b64encode(png(example("cat"))).decode()
    page.js(GIVE, data, way, "body")
    page.until(OPEN, 1)
    assert page.text("figcaption span") == "given.png"
    if way == "drop":
        page.js(GIVE, data, way, "#second strong")
        page.until(OPEN, 2)
    page.js(GIVE, "", way, "body")
    assert "holds no file" in page.text("#notice")
    page.click("#notice button:last-child")
    assert page.text("#notice") == ""


def test_what_is_seen_is_saved_in_full_size_and_the_results_as_json(page, tmp_path):
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})

    def saved(name):
        end = time.monotonic() + 10
        while not (tmp_path / name).exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        return (tmp_path / name).read_bytes()

    page.take_two()
    page.set(".layer[data-kind=boxes] .field input", 0.4)
    page.click("#save-picture")
    picture = Image.open(io.BytesIO(saved("scene-argus.png")))
    assert picture.size == (640 + 13 + 640, 480) and picture.mode == "RGBA"
    page.click("#save-results")
    values = json.loads(saved("scene-argus.json"))
    assert values["model"] == "small" and [one["file_name"] for one in values["images"]] == [
        "scene.jpg",
        "scene-moved.jpg",
    ]
    answer = small_argus().detect(example("scene"), 0.4, tiles=None)
    assert len(values["images"][0]["results"]["things"]["detections"]) == len(answer)
    assert values["images"][0]["size"] == [480, 640]


def test_new_photographs_replace_the_first_and_keep_the_choices(page):
    page.take(0)
    page.switch("depth").click()
    page.set(".layer[data-kind=masks] .head input[type=range]", 0.2)
    page.click("#new")
    assert page.js("return chooser.open")
    page.click("#chooser > button:last-child")
    assert not page.js("return chooser.open")
    page.click("#new")
    page.take(1, "#chooser")
    page.until("return document.querySelector('figcaption span').textContent == 'cat.jpg'")
    assert page.switch("depth").is_selected()
    assert page.find(".layer[data-kind=masks] .head input[type=range]").get_attribute("value") == "0.2"
