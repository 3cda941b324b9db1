"""What Argus sees in photographs, and four heads trained from nothing: ``make demo``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_arena.requests import CacheRequest, RunRequest
from argus_arena.tools.cache import build_cache
from argus_arena.training.train import train_run
from argus_core.argus import Argus
from argus_core.common.files import write_atomic
from argus_core.data import Split
from argus_core.draw import draw_boxes, paint_depth, paint_mask, side_by_side
from argus_core.draw.panel import resized
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from argus_core.saving.runs import backbone_of, canvas_of, load_run

FOLDER = Path("demo")
DATA = "scenes:images=256,val=64,size=256"
SIZE = "256"
LAYERS = (1, 2, 3, 4, -1)
"""Stages of strides 4 to 32, and the map whose mean is what a classifier reads."""
VIEWS = ("id", "hflip")
HEADS = ("detect=detect.slim_fcos", "segment=segment.linear", "depth=depth.dpt", "classify=classify.linear")
SETTINGS = {
    "epochs": 5,
    "batch": 8,
    "lr": 2e-3,
    "detect.epochs": 8,
    "detect.width": 64,
    "depth.epochs": 5,
    "depth.width": 32,
    "depth.bins": 64,
    "depth.double": False,
    "classify.lr": 3.0,
    "classify.sweep": [],
}
NEXT = """
next, with photographs of your own:
  argus perceive PHOTO.jpg --out seen                              # the same answers, as a picture and as JSON
  arena train --head classify.linear --data folder:DIR --backbone lite0 --canvas 224 --out runs/mine
  argus perceive PHOTO.jpg --model runs/mine --out seen            # what you trained"""


def main() -> None:
    """Look at photographs, match a stereo pair, train, and print what to try next."""
    began = time.perf_counter()
    argus = Argus.load("lite")
    for name, photograph in photographs():
        picture = FOLDER / "photographs" / f"{name}.png"
        perception = argus.perceive(photograph)
        perception.save_picture(picture)
        print(f"{picture}: {perception['classification'].class_name}")
    match_stereo(argus, FOLDER / "photographs" / "stereo.png")
    print(f"the built-in model took {time.perf_counter() - began:.0f} s\n")
    cache, run, picture = FOLDER / "cache", FOLDER / "run", FOLDER / "predictions.png"
    build_cache(
        CacheRequest(data=DATA, out=cache, backbone="lite0", canvas=SIZE, layers=LAYERS, cls=True, views=VIEWS, batch=2)
    )
    train_run(RunRequest(heads=HEADS, data=DATA, cache=cache, eval_every=4, settings=SETTINGS), run)
    draw_predictions(run, DATA, picture)
    print(f"{picture}: truth above, predictions below\n{FOLDER} took {time.perf_counter() - began:.0f} s")
    print(NEXT)


def photographs() -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Photographs in the wheels of scikit-image (public domain, CC0) and scikit-learn (CC BY 2.0), with names."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    for name in ("chelsea", "coffee", "rocket"):
        yield name, getattr(data, name)()
    yield "china", load_sample_image("china.jpg")
    yield "motorcycle", data.stereo_motorcycle()[0]


def match_stereo(argus: Argus, picture: Path) -> None:
    """Find points of the left image of a stereo pair in the right one, and score them by the true disparities."""
    from skimage import data

    left, right, disparity = data.stereo_motorcycle()
    y, x = (grid.ravel() for grid in np.mgrid[30:480:40, 100:720:40])
    known = np.isfinite(disparity[y, x]) & (disparity[y, x] > 0)
    x, y = x[known], y[known]
    points = np.stack([x, y], axis=1) + 0.5
    match = argus.correspond(left, right, points)
    match.save_picture(picture)
    distances = np.linalg.norm(np.asarray(match) - points + np.stack([disparity[y, x], 0 * x], axis=1), axis=1)
    print(
        f"{picture}: {len(points)} points, median error {np.median(distances):.1f} px, "
        f"{np.mean(distances < 8):.0%} within 8 px of where they truly are"
    )


def draw_predictions(run: Path, data: str, out: Path, images: Sequence[int] = (0, 1, 2)) -> None:
    """A picture: some validation scenes, for each a row of truth above a row of what the heads say."""
    heads, record = load_run(run)
    argus = Argus(backbone_of(record, None, None), heads, canvas_of(record))
    split = open_data(data, load_plugins())["val"]
    rows = [row for index in images for row in _rows(argus, split, index)]
    write_atomic(out, lambda to: Image.fromarray(np.concatenate(rows)).save(to, format="PNG"))


def _rows(argus: Argus, split: Split, index: int) -> list[np.ndarray[Any, Any]]:
    image, tasks = split.read(index), split.tasks
    truth = {name: split.truth(index, name) for name in tasks}
    perception = argus.perceive(image)
    objects, names = getattr(tasks["detect"], "classes"), getattr(tasks["segment"], "classes")  # noqa: B009
    far = float(np.percentile(truth["depth"][truth["depth"] > 0], 99))
    above = [
        draw_boxes(image, truth["detect"], objects),
        paint_mask(image, truth["segment"], len(names)),
        paint_depth(truth["depth"], 0, far),
    ]
    below = [
        perception["detections"].draw(),
        paint_mask(image, perception["segmentation"].labels, len(names)),
        paint_depth(perception["depth"].metres, 0, far),
    ]
    kinds = ["objects", "masks", "depth"]
    size = above[0].shape[:2]
    return [
        side_by_side([resized(picture, size) for picture in above], [f"{kind}: truth" for kind in kinds]),
        side_by_side([resized(picture, size) for picture in below], [f"{kind}: predicted" for kind in kinds]),
    ]


if __name__ == "__main__":
    main()
