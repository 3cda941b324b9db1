"""Small YOLO data sets for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from argus_data.yolo.split import open_yolo
from coco_folders import paint

NAMES = "names: [cat, dog, brush]\n"
LINE = "1 0.225 0.3 0.25 0.26666667"
"""In an image 40 wide and 30 high the box from (4, 5) to (14, 13)."""


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Texts under their paths, and 30 x 40 pixels where the path is that of an image."""
    for number, (name, content) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg"):
            paint(path, 30, 40, number)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def labelled(root: Path, text: str | bytes, yaml: str = NAMES, images: int = 1):
    """The split ``train`` of images with a good line, of which the first has ``text`` for labels."""
    files: dict[str, str | bytes] = {"data.yaml": yaml}
    for number in range(images):
        files |= {f"images/train/{number}.png": "", f"labels/train/{number}.txt": LINE if number else text}
    return open_yolo(write(root, files))["train"]
