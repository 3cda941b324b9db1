"""One annotation file: its objects and its faults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from argus_core import ArgusError, Fault
from argus_voc.xml import read_xml

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Object:
    """An object: its class, its box x1, y1, x2, y2 in continuous pixels, and whether it is marked difficult."""

    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True)
class Annotation:
    """The usable objects of one image, and the faults of the file."""

    objects: tuple[Object, ...]
    faults: tuple[Fault, ...]


def read_annotation(path: Path, first: int) -> Annotation:
    """Parse a file whose pixels count from ``first``; raises ArgusError if it is not an annotation."""
    root = read_xml(path)
    if root.tag != "annotation":
        raise ArgusError(f"{path} is no Pascal VOC annotation: its root is <{root.tag}>, not <annotation>")
    size = _size(root)
    faults: list[Fault] = []
    objects = [
        _object(entry, f"{path.name}, object {n}", size, first, faults) for n, entry in enumerate(root.iter("object"))
    ]
    return Annotation(tuple(entry for entry in objects if entry), tuple(faults))


def _object(entry: Element, where: str, size: tuple[float, float], first: int, faults: list[Fault]) -> Object | None:
    """The object of an entry; None, with a fault, if it cannot be used."""
    name = (entry.findtext("name") or "").strip()
    corners = [_number(entry.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax")]
    if not name or not all(map(math.isfinite, corners)):
        faults.append(Fault(where, "it lacks a name" if not name else "its box is not four numbers", dropped=True))
        return None
    # Both corners are pixels of the object, so the far one ends where the next pixel begins.
    left, top, right, bottom = (corner - first + far for corner, far in zip(corners, (0, 0, 1, 1), strict=True))
    box = (max(left, 0.0), max(top, 0.0), min(right, size[0]), min(bottom, size[1]))
    if box[0] >= box[2] or box[1] >= box[3]:
        faults.append(Fault(where, f"its box {[left, top, right, bottom]} has no area in the image", dropped=True))
        return None
    if box != (left, top, right, bottom):
        faults.append(Fault(where, f"its box {[left, top, right, bottom]} leaves the image"))
    return Object(name, box, (entry.findtext("difficult") or "").strip() == "1")


def _size(root: Element) -> tuple[float, float]:
    """Width and height, infinite where the file does not give them."""
    width, height = (_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return (width if width > 0 else math.inf), (height if height > 0 else math.inf)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
