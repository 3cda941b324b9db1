"""Headless Chromium, and the page of a server in it, with the few words that its tests are made of."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
OPEN = "return document.querySelectorAll('.frame[aria-busy=false]').length === arguments[0] && !panel.hidden"
DRAWN = "window.drawn = 0; requestAnimationFrame(() => requestAnimationFrame(() => (window.drawn = 1)))"
HASH = """
    const text = document.querySelectorAll(".frame")[arguments[0]].querySelector("canvas").toDataURL();
    let sum = 7;
    for (let place = 0; place < text.length; place++) sum = (sum * 31 + text.charCodeAt(place)) % 1000003;
    return sum;
"""
WIDE = """
    const right = (node) => node.getBoundingClientRect().right;
    const wide = (node) => right(node) > 361 && !node.closest(".unseen, .skip");
    return [...document.querySelectorAll("body *")].filter(wide).map((node) => node.outerHTML.slice(0, 80));
"""
SIZES = {"coffee.jpg": (600, 400), "cat.jpg": (451, 300), "scene.jpg": (640, 480), "scene-moved.jpg": (640, 480)}


@contextmanager
def a_browser(profile: Path, window: str = "1300,1000"):
    """A driver of headless Chromium with a ``window`` of so many pixels; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (BROWSER.is_file() and DRIVER.is_file()):
        pytest.skip(f"there is no {BROWSER} or no {DRIVER}")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--window-size={window}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page of a server, opened afresh; ``expected`` are parts of messages that may be in the console."""

    def __init__(self, driver, url: str) -> None:
        self.driver, self.url, self.expected = driver, url, ["Failed to load resource: net::ERR_ABORTED"]
        self.driver.get(f"{url}page/static/icon.svg")
        self.js("sessionStorage.clear(); localStorage.clear()")
        self.requests(), driver.get_log("browser")
        self.load()

    def load(self) -> None:
        self.driver.get(self.url)

    def ready(self) -> Page:
        self.until("return document.body.dataset.ready")
        return self

    def check(self) -> None:
        """No fault in the console, no script of a class name, and no request to another host."""
        faults = [line["message"] for line in self.driver.get_log("browser")]
        faults = [fault for fault in faults if not any(part in fault for part in self.expected)]
        elsewhere = [url for url in self.requests() if not url.startswith((self.url, "blob:", "data:"))]
        assert not faults, faults
        assert not elsewhere, elsewhere
        assert self.js("return typeof hacked") == "undefined"

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str):
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def until(self, script: str, *arguments, seconds: float = 20):
        end = time.monotonic() + seconds
        while not (value := self.js(script, *arguments)):
            assert time.monotonic() < end, f"in vain: {script}; {self.text('#notice')}"
            time.sleep(0.02)
        return value

    def click(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", selector)

    def switch(self, kind: str):
        """The switch of the layer of a kind."""
        return self.find(f".layer[data-kind={kind}] [role=switch]")

    def set(self, selector: str, value: float) -> None:
        slider = self.find(selector)
        self.js("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", slider, value)

    def take(self, number: int, where: str = "#start") -> None:
        """Take an example: 0 coffee, 1 cat, 2 and 3 a scene from two places."""
        name = f"{list(SIZES)[number]}"
        self.click(f"{where} .examples li:nth-child({number + 1}) button")
        last = "return [...document.querySelectorAll('figcaption span')].at(-1)?.textContent === arguments[0]"
        self.until(last, name)
        self.until(OPEN, len(self.all(".frame")))

    def take_two(self) -> None:
        self.take(2)
        self.click("#second")
        self.take(3, "#chooser")

    def picture(self, stage: int = 0) -> int:
        """A number that depends on every pixel of what is drawn, once it is drawn."""
        self.js(DRAWN)
        self.until("return window.drawn")
        return self.js(HASH, stage)

    def changed(self, before: int, stage: int = 0) -> int:
        """The picture when it is another one."""
        end = time.monotonic() + 10
        while (after := self.picture(stage)) == before:
            assert time.monotonic() < end, "the picture did not change"
        return after

    def point(self, x: float, y: float, stage: int = 0, click: bool = False) -> None:
        """Move the pointer to x, y pixels of a photograph."""
        frame = self.all(".frame")[stage]
        self.js("arguments[0].scrollIntoView({block: 'center'})", frame)
        width, height = SIZES[self.all("figcaption span")[stage].text]
        box = frame.rect
        across, down = (x / width - 0.5) * box["width"], (y / height - 0.5) * box["height"]
        actions = self._actions().move_to_element_with_offset(frame, across, down)
        (actions.click() if click else actions).perform()

    def press(self, *keys: str) -> None:
        self._actions().send_keys(*keys).perform()

    def press_with(self, held: str, key: str) -> None:
        self._actions().key_down(held).send_keys(key).key_up(held).perform()

    def _actions(self):
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver, duration=0)

    def reading(self) -> dict[str, str]:
        """What is said under the pointer, by label."""
        names, values = ([node.text for node in self.all(f"#reading {tag}")] for tag in ("dt", "dd"))
        return dict(zip(names, values, strict=True))

    def requests(self) -> list[str]:
        """The addresses asked for since the last time."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"]
