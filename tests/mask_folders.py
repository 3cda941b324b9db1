"""Small data sets of images and masks for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (12, 16)


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    return path


def save_mask(path: Path, values, mode: str | None = None) -> Path:
    """An index image; ``values`` is one label for all pixels or an array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full(SIZE, values, dtype=np.uint8) if np.isscalar(values) else np.asarray(values)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def folders(root: Path, splits=("train", "val"), names=("a", "b", "c"), masks="masks") -> Path:
    """IMAGES/SPLIT/NAME.jpg and MASKS/SPLIT/NAME.png, where mask i of a split says i everywhere."""
    for split in splits:
        for number, name in enumerate(names):
            save_image(root / "images" / split / f"{name}.jpg", number)
            save_mask(root / masks / split / f"{name}.png", number)
    (root / "classes.json").write_text(json.dumps({"classes": ["wall", "floor", "bed"], "ignore_index": 255}))
    return root
