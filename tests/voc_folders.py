"""Small folders in Pascal VOC's format, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

OFFICIAL = "<database>The VOC2012 Database</database><annotation>PASCAL VOC2012</annotation>"
SIZE = (30, 40)


def thing(
    name: str, corners: Sequence[float | str] | None = (5, 6, 20, 15), difficult: int | str = 0, more: str = ""
) -> str:
    """An <object>; ``corners`` are xmin, ymin, xmax, ymax as written."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners or (), strict=False)
    box = f"<bndbox>{''.join(f'<{tag}>{value}</{tag}>' for tag, value in tags)}</bndbox>" if corners else ""
    flags = f"<pose>Left</pose><truncated>1</truncated><occluded>1</occluded><difficult>{difficult}</difficult>"
    return f"<object>\n<name>{escape(name)}</name>{flags}{box}{more}</object>\n"


def annotation(*objects: str, size: tuple[int, int] | None = SIZE, source: str = OFFICIAL, filename: str = "") -> str:
    """An annotation file; ``size`` is height and width."""
    sides = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>" if size else ""
    head = f"<filename>{escape(filename)}</filename><source>{source}</source>{sides}<segmented>0</segmented>\n"
    return f"<annotation>\n{head}{''.join(objects)}</annotation>\n"


def picture(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    """An image of noise, which is another one for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def text(path: Path, content: str | bytes) -> None:
    """A file with this content, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def palette_mask(path: Path, values: np.ndarray) -> None:
    """A mask as VOC's: numbers with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tolist())
    image.save(path)


def devkit(root: Path, year: str = "2012") -> Path:
    """VOCdevkit/VOC2012 below ``root``: images 2007_000000 to 3, three of them for train, two of them with masks."""
    folder = root / "VOCdevkit" / f"VOC{year}"
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    for n in range(4):
        name = f"2007_00000{n}"
        picture(folder / f"JPEGImages/{name}.jpg", n)
        objects = [thing("person", (1, 1, 40, 30), more=part), thing("cat", (11, 6, 20 + n, 15), difficult=1)]
        text(folder / f"Annotations/{name}.xml", annotation(*objects, filename=f"{name}.jpg"))
        mask = np.full(SIZE, n)
        mask[:5], mask[5] = 15, 255
        if n in (0, 3):
            palette_mask(folder / f"SegmentationClass/{name}.png", mask)
            palette_mask(folder / f"SegmentationObject/{name}.png", mask)
    sets = {"train": "012", "val": "3", "trainval": "0123"}
    for name, numbers in sets.items():
        lines = [f"2007_00000{n}" for n in numbers]
        text(folder / f"ImageSets/Main/{name}.txt", "\n".join(lines) + "\n")
        text(folder / f"ImageSets/Main/cat_{name}.txt", "".join(f"{line}  1\n" for line in lines))
        masked = [line for line in lines if line[-1] in "03"]
        text(folder / f"ImageSets/Segmentation/{name}.txt", "\n".join(masked) + "\n")
    return folder


def beside(root: Path, *objects: str, name: str = "a", seed: int = 0, suffix: str = ".png", **options) -> None:
    """An image with its annotation file, in one folder."""
    picture(root / f"{name}{suffix}", seed)
    text(root / f"{name}.xml", annotation(*objects, **{"source": "", "filename": f"{name}{suffix}", **options}))
