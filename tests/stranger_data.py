"""Small data sets that random features can tell apart: a Pascal VOC folder and class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 64
COLOURS = {"cat": (230, 60, 40), "dog": (40, 90, 230)}
PERIODS = {"coarse": 16, "fine": 4, "plain": 256}


def write_voc(root: Path, train: int, val: int) -> Path:
    """A Pascal VOC folder of one or two bright rectangles per image on grey noise; the colour is the class."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{n:06d}" for n in range(train + val)]
    for name in names:
        pixels, objects = _noise(rng), ""
        for left in (2, 34)[: rng.integers(1, 3)]:
            kind = str(rng.choice(list(COLOURS)))
            (x, y), (width, height) = (left + rng.integers(0, 6), rng.integers(2, 30)), rng.integers(18, 25, 2)
            pixels[y : y + height, x : x + width] = COLOURS[kind]
            corners = zip(("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + width, y + height), strict=True)
            box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
            objects += f"<object><name>{kind}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>", encoding="utf-8")
    for split, kept in (("train", names[:train]), ("val", names[train:])):
        (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(kept), encoding="utf-8")
    return root


def write_classes(root: Path, train: int, val: int) -> Path:
    """Class folders of stripes under noise, ``train`` and ``val`` images per class; their period is the class."""
    rng = np.random.default_rng(1)
    for split, images in (("train", train), ("val", val)):
        for kind, period in PERIODS.items():
            (root / split / kind).mkdir(parents=True)
            for n in range(images):
                wave = np.sin((np.arange(SIDE) + rng.uniform(0, period)) * (2 * np.pi / period))
                pixels = np.clip(_noise(rng) + 60 * wave[:, None], 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / kind / f"{n}.png")
    return root


def _noise(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return rng.integers(90, 150, (SIDE, SIDE, 3), dtype=np.uint8)
