"""Everything that is wrong with a data set, found by reading all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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
    faults: list[Fault] = split.faults()
    sizes: dict[int, Size] = {}
    for index in range(len(split)):
        where = f"{split.name}, image {split.key(index)}"
        try:
            height, width, _ = split.read(index).shape
            size = (height, width)
            first = seen.setdefault(split.digest(index), where)
        except ArgusError as error:
            faults.append(Fault(where, str(error)))
            continue
        sizes[index] = size
        if first != where:
            faults.append(Fault(where, f"the same bytes as {first}"))
        if isinstance(split, Sized) and (wrong := _mismatch(split.size(index), size)):
            faults.append(Fault(where, wrong))
    summary = _pixels(len(split), list(sizes.values()))
    for name in split.tasks:
        summary |= _annotations(split, name, sizes, faults)
    return Report(faults, summary)


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


def _annotations(split: Split, name: str, sizes: Mapping[int, Size], faults: list[Fault]) -> dict[str, Any]:
    """Read every annotation of a task, add what is wrong with it to ``faults``, and count what is right."""
    task = split.tasks[name]

    def truths() -> Iterator[Any]:
        for sample, images in enumerate(split.samples(name)):
            where = f"{split.name}, {name} of {' and '.join(split.key(index) for index in images)}"
            try:
                truth = split.truth(sample, name)
            except ArgusError as error:
                faults.append(Fault(where, str(error)))
                continue
            known = [sizes[index] for index in images if index in sizes]
            wrong = task.fault(truth, known[0]) if len(known) == len(images) else ""
            if wrong:
                faults.append(Fault(where, wrong))
            else:
                yield truth

    return task.summary(truths())
