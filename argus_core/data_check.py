"""Everything that is wrong with a data set, found by reading all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from argus_core.data import DataSet, Fault, Split
from argus_core.errors import ArgusError

Size = tuple[int, int]


@runtime_checkable
class Sized(Protocol):
    """A split whose annotations state the images' sizes."""

    def size(self, index: int) -> Size | None:
        """Height and width in pixels, None where nothing is stated."""
        ...


@dataclass(frozen=True)
class Report:
    """What ails a split and how large it is; ``summary`` is plain data, ready for JSON."""

    faults: list[Fault]
    summary: dict[str, Any]


def check_data(data: DataSet) -> dict[str, Report]:
    """A report for every split; images that several splits share are faults of the later one."""
    seen: dict[str, str] = {}
    return {name: check_split(split, seen) for name, split in data.items()}


def check_split(split: Split, seen: dict[str, str] | None = None) -> Report:
    """Read all images and annotations; ``seen`` maps digests to where they were met, and is added to."""
    seen = {} if seen is None else seen
    faults, sizes = split.faults(), []
    for index in range(len(split)):
        where = f"{split.name}, image {split.key(index)}"
        try:
            size = split.read(index).shape[:2]
            first = seen.setdefault(split.digest(index), where)
        except ArgusError as error:
            faults.append(Fault(where, str(error)))
            continue
        sizes.append(size)
        if first != where:
            faults.append(Fault(where, f"the same bytes as {first}"))
        if isinstance(split, Sized) and (wrong := _mismatch(split.size(index), size)):
            faults.append(Fault(where, wrong))
    return Report(faults, {**_pixels(len(split), sizes), **_boxes(split)})


def _mismatch(stated: Size | None, size: Size) -> str:
    if stated is None or stated == size:
        return ""
    text = f"the annotations say {stated[0]}x{stated[1]} (height x width), the image has {size[0]}x{size[1]}"
    turned = "; annotate the upright image, as its EXIF orientation is applied" if stated == size[::-1] else ""
    return text + turned


def _pixels(images: int, sizes: list[Size]) -> dict[str, Any]:
    heights, widths = zip(*sizes, strict=True) if sizes else ((0,), (0,))
    return {
        "images": images,
        "readable": len(sizes),
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
    }


def _boxes(split: Split) -> dict[str, Any]:
    """Counts for detection, nothing for other data."""
    task = split.tasks.get("detect")
    if task is None:
        return {}
    classes = task.classes  # type: ignore[attr-defined]
    truths = [split.truth(index, "detect") for index in range(len(split))]
    labels = np.concatenate([truth.labels for truth in truths]) if truths else np.zeros(0, dtype=np.int64)
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return {
        "boxes": len(labels),
        "boxes_per_class": dict(zip(classes, counts, strict=True)),
        "images_without_boxes": sum(len(truth.labels) == 0 for truth in truths),
        "crowd": int(sum(truth.crowd.sum() for truth in truths)),
    }
