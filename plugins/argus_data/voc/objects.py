"""One annotation file of Pascal VOC: its objects as they are written, and what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from argus_core.errors import ArgusError, Fault
from argus_data.voc.xml_tree import Node, read_xml

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FROM_ONE = ("pascal voc", "the voc", "roboflow", "argus")
"""What <source> says, in lower case, where pixels count from 1 and the last one belongs to the box."""


@dataclass(frozen=True)
class VocObject:
    """An object: its class, its corners as written (x1 <= x2, y1 <= y2), whether it is difficult, where it stands."""

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool
    line: int


@dataclass(frozen=True)
class VocFile:
    """The objects of one file, ``shown`` in messages as its path below the data set.

    ``size`` is the height and width it states, ``image`` the name of the image it states, ``origin`` its source.
    """

    shown: str
    image: str
    size: tuple[int, int] | None
    origin: str
    objects: tuple[VocObject, ...]
    faults: tuple[Fault, ...]

    @property
    def counts_from_one(self) -> bool:
        """Whether the file comes from where pixels are known to count from 1."""
        return any(word in self.origin for word in FROM_ONE)


def read_voc_file(path: Path, shown: str) -> VocFile:
    """Parse a file; raises ArgusError, with the line, if it is no annotation of Pascal VOC."""
    root = read_xml(path)
    if root.tag != "annotation":
        raise ArgusError(f"{path}, line {root.line}: the root is <{root.tag}>, not the <annotation> of Pascal VOC")
    faults: list[Fault] = []
    # Objects may have parts, such as a person's head, with boxes of their own: only the root's objects count.
    nodes = [node for node in root.parts if node.tag == "object"]
    objects = [_object(node, f"{shown}, line {node.line}", faults) for node in nodes]
    source = root.first("source")
    return VocFile(
        shown,
        root.value("filename").replace("\\", "/"),
        _size(root),
        " ".join(part.text for part in source.parts).lower() if source else "",
        tuple(entry for entry in objects if entry),
        tuple(faults),
    )


def _object(node: Node, where: str, faults: list[Fault]) -> VocObject | None:
    """The object of an entry; None, with a fault, if it cannot be used."""
    name, box = node.value("name"), node.first("bndbox")
    words = [box.value(tag) for tag in CORNERS] if box else []
    values = [_number(word) for word in words]
    if not name:
        faults.append(Fault(where, "the object has no <name>", True, "objects without a name"))
    elif not box:
        turned = "; rotated boxes (<robndbox>) are not read" if node.first("robndbox") else ""
        faults.append(Fault(where, f"{name!r} has no <bndbox>{turned}", True, "objects without a box"))
    elif not all(map(math.isfinite, values)):
        wrong = dict(zip(CORNERS, words, strict=True))
        faults.append(Fault(where, f"the box of {name!r} is not four numbers: {wrong}", True, "boxes of no numbers"))
    else:
        (left, right), (top, bottom) = sorted(values[::2]), sorted(values[1::2])
        if [left, top, right, bottom] != values:
            written = ", ".join(f"{corner} {word}" for corner, word in zip(CORNERS, words, strict=True))
            what = f"the box of {name!r}, {written}, has its corners exchanged; they are put in order"
            faults.append(Fault(where, what, kind="boxes with exchanged corners"))
        difficult = node.value("difficult").lower() in ("1", "1.0", "true", "yes")
        return VocObject(name, (left, top, right, bottom), difficult, node.line)
    return None


def _size(root: Node) -> tuple[int, int] | None:
    """Height and width, None where the file does not give both as positive numbers."""
    height, width = (_number(root.value("size", side)) for side in ("height", "width"))
    return (int(height), int(width)) if 1 <= height < math.inf and 1 <= width < math.inf else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
