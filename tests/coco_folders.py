"""Small COCO data sets for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from argus_data.coco.split import open_coco

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "brush"}]


def image(number: int, **changes) -> dict:
    return {"id": number, "file_name": f"{number}.png", "height": 30, "width": 40} | changes


def box(number: int, image_id: int = 1, category: int = 18, bbox=(4, 5, 10, 8), **changes) -> dict:
    entry = {"id": number, "image_id": image_id, "category_id": category, "bbox": list(bbox), "iscrowd": 0}
    return entry | {"area": 50.0} | changes


def write(file: Path, images, annotations, categories=CATEGORIES, folder: Path | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    for entry in images if folder else []:
        paint(folder / entry["file_name"], entry["height"], entry["width"], entry["id"])


def paint(path: Path, height: int, width: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)


def flat(root: Path, annotations, images=None, categories=CATEGORIES):
    write(root / "train.json", images or [image(1), image(2)], annotations, categories, root)
    return open_coco(root)["train"]
