"""The page in a browser: by keyboard, on a phone, light and dark, and safe from what it shows."""

from __future__ import annotations

import pytest

from page_browser import OPEN, WIDE
from page_help import HOSTILE


def test_everything_can_be_done_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    def walk(until, most=40):
        seen = []
        for _ in range(most):
            page.press(Keys.TAB)
            active = page.driver.switch_to.active_element
            style = page.js("const s = getComputedStyle(arguments[0]); return s.outlineStyle + s.outlineWidth", active)
            name = active.accessible_name
            seen.append(name)
            assert name, active.get_attribute("outerHTML")
            assert style == "solid3px", active.get_attribute("outerHTML")
            if name.startswith(until):
                return seen
        raise AssertionError(f"no {until} in {seen}")

    walk("A cup of coffee")
    page.press(Keys.ENTER)
    page.until(OPEN, 1)
    page.js("document.activeElement.blur(); scrollTo(0, 0)")
    walk("coffee.jpg. Arrow keys move the crosshair")
    assert page.reading()["Pixel"] == "300, 200"
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.reading()["Pixel"] == "312, 224"
    page.press_with(Keys.SHIFT, Keys.ARROW_LEFT)
    assert page.reading()["Pixel"] == "311, 224"
    assert "Masks: " in page.text("#spoken") and "Depth: " in page.text("#spoken")
    page.press(Keys.HOME)
    assert page.reading()["Pixel"] == "300, 200"
    page.press(Keys.ENTER)
    page.until("return document.getElementById('clear-point')")
    page.press(Keys.ESCAPE)
    page.until("return !document.getElementById('clear-point')")
    seen = walk("smooth")
    for name in ("Photograph", "Opacity of masks", "Lowest score of boxes", "Layer of the backbone", "Depth"):
        assert any(one.startswith(name) for one in seen), (name, seen)
    depth = page.find(".layer[data-kind=depth] [role=switch]")
    page.js("arguments[0].focus()", depth)
    page.press(" ")
    assert depth.is_selected()


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_wider_than_a_phone(page, number):
    def fits():
        return page.js("return document.documentElement.scrollWidth") <= 360 and page.js(WIDE) == []

    device = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page.driver.get(page.url)
        page.until("return document.body.dataset.ready")
        assert fits()
        camera = page.find("#start input[capture]")
        assert camera.get_attribute("accept") == "image/*"
        assert "Take a photograph" in page.text("#start")
        page.take(2) if number == 1 else page.take_two()
        assert fits()
        page.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 150, "y": 200}]}
        )
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.until("return document.getElementById('clear-point')")
        assert "Masks" in page.reading() and fits()
        page.click("#new")
        assert fits()
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_light_and_dark_follow_the_system_or_the_button(page):
    def paper():
        return page.js("return getComputedStyle(document.documentElement).backgroundColor")

    def media(**features):
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})

    media(prefers_color_scheme="light")
    light = paper()
    media(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    dark = paper()
    assert light != dark
    assert page.js("return getComputedStyle(document.querySelector('button')).transitionProperty") == "none"
    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.text("#theme"), paper()))
    assert seen == [("Theme: light", light), ("Theme: dark", dark), ("Theme: system", dark)]
    page.click("#theme")
    page.driver.refresh()
    page.until("return document.body.dataset.ready")
    assert paper() == light
    media()


# ---- text that stays text


def test_names_of_classes_stay_text_and_nothing_comes_from_elsewhere(page):
    page.take(0)
    page.set(".layer[data-kind=boxes] .field input", 0.05)
    for kind in ("masks", "classes", "boxes"):
        assert HOSTILE in page.text(f".layer[data-kind={kind}]"), kind
    assert page.js("return document.querySelectorAll('img[src=x]').length") == 0
    page.expected = ["Content Security Policy", "violates"]
    refused = """
        const done = arguments[arguments.length - 1];
        addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective), { once: true });
        document.body.append(Object.assign(document.createElement(arguments[0]), arguments[1]));
    """
    assert page.driver.execute_async_script(refused, "img", {"src": "http://127.0.0.1:9/x"}) == "img-src"
    assert page.driver.execute_async_script(refused, "script", {"textContent": "hacked = 1"}) == "script-src-elem"
    assert page.driver.execute_async_script(refused, "style", {"textContent": "* {}"}) == "style-src-elem"
    assert page.requests()[-1:] in ([], ["http://127.0.0.1:9/x"])  # Chromium lists it although it is not sent
