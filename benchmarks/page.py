"""How long the page of `argus serve` waits for its answers, and pictures of it for the documentation.

Starts a server of the built-in model as a process of its own. ``--pictures FOLDER`` opens the page in headless
Chromium instead, and writes what it looks like; it needs selenium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from argus_core.serve.page import FILES
from serve import server

ROUNDS = 30
SIZES = ((640, 480), (4000, 3000))
WIDE, LOW, PHONE = (1280, 860, 1), (1280, 720, 1), (360, 740, 1.5)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
READY = "return document.querySelectorAll('.frame[aria-busy=false]').length === arguments[0] && !panel.hidden"


def photograph(size: tuple[int, int], turn: int) -> bytes:
    """A JPEG of an example, a little turned, so that no two are the same."""
    file = io.BytesIO()
    Image.open(FILES / "examples" / "scene.jpg").resize(size).rotate(turn).save(file, format="JPEG", quality=92)
    return file.getvalue()


def took(call: Callable[[int], httpx.Response], rounds: int) -> tuple[float, float, httpx.Response]:
    """Median and longest milliseconds of a request, and its last answer."""
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        answer = call(number).raise_for_status()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), max(times), answer


def measure(url: str) -> None:
    """A line for each question of the page about images of each size."""
    with httpx.Client(base_url=url, timeout=120) as client:
        took(lambda n: client.post("/page/images", content=photograph((64, 48), 0)), 1)
        for size in SIZES:
            photos = [photograph(size, turn) for turn in range(8)]
            rows = {"sent": took(lambda n: client.post("/page/images", content=photos[n]), len(photos))}  # noqa: B023
            ids = [client.post("/page/images", content=photo).json()["id"] for photo in photos[:2]]
            rows["sent again"] = took(lambda n: client.post("/page/images", content=photos[0]), 8)  # noqa: B023

            def similar(n: int, ids: list[str] = ids, size: tuple[int, int] = size) -> httpx.Response:
                point = [size[0] * (n + 1) / (ROUNDS + 2), size[1] / 2]
                return client.post("/page/similar", json={"ids": ids, "point": point})

            rows["similar, in two"] = took(similar, ROUNDS)
            question = {"ids": ids, "layer": 3}
            rows["components, of two"] = took(lambda n: client.post("/page/components", json=question), ROUNDS)  # noqa: B023
            for task, words in (("segment", "points"), ("detect", "boxes")):
                asked = {"ids": ids[:1], "marks": marks(task, ids[0], size)}
                rows[f"taught, {words}"] = took(lambda n: client.post("/page/teach", json=asked), ROUNDS)  # noqa: B023
            for name, (median, most, answer) in rows.items():
                sent = int(answer.headers.get("Content-Length", len(answer.content))) / 1000
                print(
                    f"{size[0]}x{size[1]}  {name:<20} median {median:7.1f} ms  longest {most:7.1f} ms  {sent:6.1f} kB"
                )


def marks(task: str, photo: str, size: tuple[int, int]) -> dict[str, Any]:
    """Ten points of two classes, or ten boxes, in rows from the left to the right of a photograph."""
    width, height = size
    spots = [(width * (n + 0.5) / 10, height * (0.3 + 0.4 * (n % 2))) for n in range(10)]
    side = height / 10
    boxes = [[x - side / 3, y - side / 2, x + side / 3, y + side / 2] for x, y in spots]
    places = boxes if task == "detect" else [list(spot) for spot in spots]
    found = [{"class_id": n % 2, "at": place} for n, place in enumerate(places)]
    return {"task": task, "classes": ["one", "other"], "photos": [{"id": photo, "marks": found}]}


class Window:
    """A page in headless Chromium, and what is done there for a picture."""

    def __init__(self, url: str, size: tuple[int, int, float], scheme: str = "light") -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={tempfile.mkdtemp()}"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium") or ""
        service = webdriver.ChromeService(shutil.which("chromedriver"))  # without it selenium looks for one online
        self.driver = webdriver.Chrome(options=options, service=service)
        device = dict(zip(("width", "height", "deviceScaleFactor"), size, strict=True), mobile=False)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(url)
        self.until("return document.body.dataset.ready")

    def until(self, script: str, *arguments: Any) -> None:
        while not self.driver.execute_script(script, *arguments):
            time.sleep(0.05)

    def take(self, example: int, photos: int = 1) -> None:
        """Open an example, as the first or the second photograph."""
        where = "#chooser" if photos > 1 else "#start"
        if photos > 1:
            self.driver.find_element("id", "second").click()
        self.driver.find_elements("css selector", f"{where} .examples button")[example].click()
        self.until("return document.querySelectorAll('.frame').length === arguments[0]", photos)
        self.until(READY, photos)

    def switch(self, *kinds: str) -> None:
        for kind in kinds:
            script = "document.querySelector(`.layer[data-kind=${arguments[0]}] [role=switch]`).click()"
            self.driver.execute_script(script, kind)

    def point(self, across: float, down: float, click: bool = False, press: bool = False) -> None:
        """Move to a share of the first photograph's width and height, and ask there what is similar, or only press."""
        from selenium.webdriver.common.action_chains import ActionChains

        frame = self.driver.find_element("css selector", ".frame")
        box = frame.rect
        shift = (box["width"] * (across - 0.5), box["height"] * (down - 0.5))
        actions = ActionChains(self.driver).move_to_element_with_offset(frame, *map(round, shift))
        (actions.click() if click or press else actions).perform()
        if click:
            self.until("return document.getElementById('clear-point')")

    def teach(self, name: str, *spots: tuple[int, float, float]) -> None:
        """Teach a class of this name from points: the number of the class, and shares of width and height."""
        self.driver.find_element("id", "teach").click()
        script = "const field = document.querySelector('.classes input[type=text]'); field.value = arguments[0]; "
        self.driver.execute_script(script + "field.dispatchEvent(new Event('input'))", name)
        for number, across, down in spots:
            self.driver.execute_script("document.getElementsByName('teach-class')[arguments[0]].click()", number)
            self.point(across, down, press=True)
        self.until("return document.querySelector('.layer[aria-label=Taught]')")
        self.until("return !document.querySelector('.missing').textContent")

    def save(self, path: Path) -> None:
        time.sleep(0.5)
        self.driver.execute_script("scrollTo(0, 0)")
        Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB").save(path, quality=88)
        self.driver.quit()


def draw(url: str, folder: Path) -> None:
    """The pictures of the documentation."""
    window = Window(url, WIDE)
    window.take(0)
    window.point(0.52, 0.3)
    window.save(folder / "page.jpg")
    window = Window(url, WIDE, "dark")
    window.take(0)
    window.switch("masks", "depth", "classes")
    window.point(0.66, 0.78)
    window.save(folder / "page-dark.jpg")
    window = Window(url, LOW)
    window.take(2)
    window.take(3, photos=2)
    window.point(0.68, 0.47, click=True)
    window.save(folder / "page-similar.jpg")
    window = Window(url, WIDE)
    window.take(0)
    window.teach("cup", (0, 0.52, 0.3), (1, 0.08, 0.5), (1, 0.9, 0.4), (1, 0.24, 0.72), (0, 0.42, 0.6), (1, 0.66, 0.62))
    window.save(folder / "page-teach.jpg")
    window = Window(url, PHONE)
    window.take(1)
    window.switch("masks", "components")
    window.point(0.37, 0.4)
    window.save(folder / "page-phone.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="write pictures of the page to this folder")
    options = parser.parse_args()
    with server() as url:
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            draw(url, options.pictures)
        else:
            measure(url)


if __name__ == "__main__":
    main()
