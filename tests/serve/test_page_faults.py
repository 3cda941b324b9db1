"""The page in a browser: other models, a token, photographs that the server forgot, and servers that fail."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core import Argus
from argus_core.errors import ArgusError
from argus_core.serve import look as look_module
from argus_core.serve import page as page_module
from argus_core.serve.kept import Kept
from argus_core.serve.layers import Layer
from page_browser import OPEN, Page
from page_help import CANVAS, HOSTILE, png, served, small_argus

HOME, ENTER = "\ue011", "\ue007"


@pytest.mark.parametrize(
    ("heads", "kinds", "shown"),
    [
        (("metres",), ["photo", "similar", "depth", "components"], ["photo", "depth"]),
        (("things",), ["photo", "similar", "boxes", "components"], ["photo", "boxes"]),
        (("scene",), ["photo", "similar", "classes", "components"], ["photo", "classes"]),
        (("matches",), ["photo", "similar", "components"], ["photo", "components"]),
    ],
)
def test_other_models_have_other_layers(browser, heads, kinds, shown):
    with served(small_argus(*heads)) as url:
        page = Page(browser, url).ready()
        page.take(0)
        assert page.js("return [...document.querySelectorAll('.layer')].map((one) => one.dataset.kind)") == kinds
        assert [kind for kind in kinds if page.switch(kind).is_selected()] == shown
        page.point(300, 200, click=True)
        page.until("return document.getElementById('clear-point')")
        labels = {"metres": "Depth", "things": "Boxes"}
        assert {"Pixel", "Similar", *(labels[head] for head in heads if head in labels)} == set(page.reading())
        page.check()


def test_several_heads_of_a_task_and_tasks_that_are_not_known_have_layers_too(browser, monkeypatch):
    def layer(result):
        return Layer({"kind": "other", "summary": HOSTILE, "answer": {"values": [1, HOSTILE]}})

    small = small_argus("metres")
    head = small.head("metres")
    with served(Argus(small.backbone, {"near": head, "far": head}, CANVAS)) as url:
        page = Page(browser, url).ready()
        page.take(0)
        titles = page.js("return [...document.querySelectorAll('.layer')].map((one) => one.getAttribute('aria-label'))")
        assert titles == ["Photograph", "Similar", "Depth: near", "Depth: far", "Tokens"]
        page.point(300, 200)
        assert {"Depth: near", "Depth: far"} <= set(page.reading())
        monkeypatch.setattr(look_module, "layer_of", layer)
        page.click("#new")
        page.take(1, "#chooser")
        page.until("return document.querySelectorAll('.layer[data-kind=other]').length === 2")
        assert page.text(".layer[data-kind=other] summary") == HOSTILE
        assert HOSTILE in page.text(".layer[data-kind=other] pre")
        page.check()


def test_what_a_small_canvas_loses_is_said_under_the_photograph(page, tmp_path):
    (tmp_path / "large.png").write_bytes(png(np.full((2000, 3000, 3), 90, np.uint8)))
    page.find("#start input[type=file]").send_keys(str(tmp_path / "large.png"))
    page.until(OPEN, 1)
    assert "objects below 150 px vanish" in page.text(".notes")


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
def test_images_of_odd_shapes_are_shown(page, tmp_path, size):
    (tmp_path / "odd.png").write_bytes(png(np.full((*size, 3), 90, np.uint8)))
    page.find("#start input[type=file]").send_keys(str(tmp_path / "odd.png"))
    page.until(OPEN, 1)
    for kind in ("depth", "components"):
        page.switch(kind).click()
    page.js("document.querySelector('.frame').focus()")
    page.press(HOME, ENTER)
    page.until("return document.getElementById('clear-point')")
    assert page.reading()["Pixel"] == f"{size[1] // 2}, {size[0] // 2}"


def test_a_token_is_asked_for_until_it_is_right_and_lives_in_this_tab(browser):
    with served(small_argus("metres"), token="geheim") as url:
        page = Page(browser, url)
        page.expected += ["401"]
        page.until("return document.getElementById('ask-token').open")
        assert not page.find("#token-refused").is_displayed()
        for token in ("falsch", "geheim"):
            page.until("return document.activeElement.id === 'token' && document.activeElement.value === ''")
            page.press(token, "\n")
            if token == "falsch":
                page.until("return document.getElementById('token-refused').checkVisibility()")
        page.ready().take(0)
        assert page.js("return [sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        page.point(300, 200, click=True)
        page.until("return document.getElementById('clear-point')")
        page.js("sessionStorage.setItem('argus-token', 'changed')")
        page.click("#new")
        page.click("#chooser .examples li:nth-child(2) button")
        page.until("return document.getElementById('ask-token').open")
        page.press("geheim", "\n")
        page.until("return document.querySelector('figcaption span').textContent === 'cat.jpg'")
        page.until(OPEN, 1)
        page.check()


def test_a_photograph_that_the_server_forgot_is_sent_again(page, monkeypatch):
    page.expected += ["404"]
    page.take_two()
    get, forgotten = Kept.get, [True] * 2
    monkeypatch.setattr(Kept, "get", lambda self, key: None if forgotten and forgotten.pop() else get(self, key))
    page.requests()
    page.point(300, 200, click=True)
    page.until("return document.getElementById('clear-point')")
    asked = [url.removeprefix(page.url) for url in page.requests()]
    assert asked == ["page/similar", "page/images", "page/images", "page/similar"] and page.text("#notice") == ""


@pytest.mark.parametrize("error", [ArgusError("no room for this image"), RuntimeError("secret details")])
def test_a_failure_is_said_in_words_and_can_be_tried_again(page, monkeypatch, error):
    page.expected += ["422", "500"]
    with monkeypatch.context() as patch:
        patch.setattr(page_module, "look", lambda *given, **named: (_ for _ in ()).throw(error))
        patch.setattr(Kept, "get", lambda self, key: None)
        page.click("#start .examples button")
        page.until("return document.querySelector('#notice p')")
        said = page.text("#notice p")
        assert ("no room" in said) == isinstance(error, ArgusError) and "secret" not in said
        assert page.find("#start").is_displayed() and not page.find("#panel").is_displayed()
    page.click("#notice button:first-of-type")
    page.until(OPEN, 1)
    assert page.text("#notice") == ""


@pytest.mark.parametrize("button", ["#second", "#new"])
def test_a_photograph_that_fails_leaves_the_one_that_is_there(page, tmp_path, button):
    page.expected += ["415"]
    page.take(0)
    before = page.picture()
    page.click(button)
    (tmp_path / "text.png").write_text("not a picture")
    page.find("#chooser input[type=file]").send_keys(str(tmp_path / "text.png"))
    page.until("return document.querySelector('#notice p')")
    assert "no image" in page.text("#notice p") and len(page.all(".stage")) == 1
    page.until(OPEN, 1)
    assert page.text("figcaption span") == "coffee.jpg" and page.picture() == before
    assert page.find("#second").is_displayed()


def test_a_server_that_is_gone_is_said(browser):
    with served(small_argus("metres")) as url:
        page = Page(browser, url).ready()
        page.expected += ["ERR_CONNECTION_REFUSED"]
        page.take(0)
    page.point(300, 200, click=True)
    page.until("return document.querySelector('#notice p')")
    assert page.text("#notice p") == "The server does not answer. Is it still running?"
    page.check()
