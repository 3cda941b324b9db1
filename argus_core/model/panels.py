"""The parts of a film's picture: each shows the results of a head about one frame after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image

from argus_core.draw import class_color, paint_depth, paint_mask
from argus_core.draw.classes import score_rows
from argus_core.draw.depth import OUTLIERS, known
from argus_core.draw.legend import Entry, steady_legend
from argus_core.draw.masks import percent, shares
from argus_core.draw.palette import GREY, Pixels
from argus_core.draw.panel import resized, resized_map
from argus_core.draw.scale import Scale, scale_bar
from argus_core.draw.text import font, line_of
from argus_core.tasks import PlainResult, Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

Results = Mapping[str, Result]
TEXT = 17
"""Pixels of the font."""
NAME = 200
"""Pixels of width for a name and a number in a legend."""
MOST_ROWS = 3
REPLACED = 2.0
"""A class takes the place of another in the legend if it covers this many times as much."""


class Panel:
    """A picture of the results of one head, by default the result's own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def title(self, results: Results) -> str:
        """What stands above it."""
        return results[self.name].headline() or self.name

    def picture(self, results: Results, size: tuple[int, int]) -> Pixels:
        """The picture for an image of ``size`` (height, width)."""
        return results[self.name].tile(size)

    def strip_height(self, width: int) -> int:
        """Pixels of height of what stands below."""
        return 0

    def strip(self, results: Results, width: int) -> Image.Image | None:
        """What stands below, as wide as the picture."""
        return None


class FramePanel(Panel):
    """The frame with the boxes of the first detector, and the classes of every classifier below it."""

    def __init__(self, results: Results) -> None:
        boxes = (name for name, result in results.items() if isinstance(result, DetectionResult))
        super().__init__(next(boxes, next(iter(results))))
        self._rows = {name: len(result) for name, result in results.items() if isinstance(result, ClassResult)}

    def title(self, results: Results) -> str:
        """The objects, or else the best class."""
        result = results[self.name]
        return result.headline() if isinstance(result, DetectionResult | ClassResult) else "frame"

    def picture(self, results: Results, size: tuple[int, int]) -> Pixels:
        """The frame with its boxes."""
        result = results[self.name]
        return result.tile(size) if isinstance(result, DetectionResult) else resized(result.image, size)

    def strip_height(self, width: int) -> int:
        """A line for each class."""
        return line_of(font(TEXT)) * sum(self._rows.values())

    def strip(self, results: Results, width: int) -> Image.Image | None:
        """A bar for each class."""
        every = (results[name] for name in self._rows)
        rows = [row for result in every if isinstance(result, ClassResult) for row in result.rows]
        return score_rows(rows, width, font(TEXT), steady=True) if rows else None


class MaskPanel(Panel):
    """The frame under the colours of its classes, and a legend in which a class keeps its place."""

    def __init__(self, name: str, result: SegmentResult) -> None:
        super().__init__(name)
        self._classes, self._places = len(result.classes) + 1, list[int]()

    def picture(self, results: Results, size: tuple[int, int]) -> Pixels:
        """The frame under colours."""
        result = _as_masks(results[self.name])
        labels = resized_map(result.labels, size)
        return paint_mask(resized(result.image, size), labels, len(result.classes), result.ignore)

    def strip_height(self, width: int) -> int:
        """As many lines as all classes need, at most three."""
        return line_of(font(TEXT)) * min(MOST_ROWS, math.ceil(self._classes / _columns(width)))

    def strip(self, results: Results, width: int) -> Image.Image | None:
        """The classes and their shares of the frame."""
        result, columns = _as_masks(results[self.name]), _columns(width)
        present = dict(shares(result.labels, result.ignore))
        count = columns * self.strip_height(width) // line_of(font(TEXT))
        self._places = keep_places(self._places, present, count)
        names = {label: "none" if label < 0 else result.classes[label] for label in self._places}
        entries: list[Entry | None] = [
            Entry(GREY if label < 0 else class_color(label), name, percent(present[label]) if label in present else "")
            for label, name in names.items()
        ]
        return steady_legend(entries + [None] * (count - len(entries)), width, font(TEXT), columns)


class DepthPanel(Panel):
    """Depth in colours from 0 m to a round number of metres, which only rises if a frame is deeper."""

    high = 0.0

    def picture(self, results: Results, size: tuple[int, int]) -> Pixels:
        """The depths in colours."""
        metres = known(resized_map(_as_depth(results[self.name]).metres, size))
        if (metres > 0).any():
            farthest = float(np.percentile(metres[metres > 0], 100 - OUTLIERS))
            self.high = max(self.high, round_up(farthest))
        return paint_depth(metres, 0.0, self.high)

    def strip_height(self, width: int) -> int:
        """A bar, its numbers, and a line for what is unknown."""
        return TEXT + TEXT // 4 + 2 * line_of(font(TEXT))

    def strip(self, results: Results, width: int) -> Image.Image | None:
        """The scale in metres."""
        scale = Scale(0.0, self.high, "m", falling=True, above=True, unknown="unknown")
        return scale_bar(scale, width, font(TEXT), lying=True)


def panels_of(results: Results) -> list[Panel]:
    """The frame first, then a panel for every result that it does not show; those without a picture are left out."""
    first = FramePanel(results)
    panels: list[Panel] = [first]
    shown = ClassResult | PlainResult
    for name, result in results.items():
        if isinstance(result, SegmentResult):
            panels.append(MaskPanel(name, result))
        elif isinstance(result, DepthResult):
            panels.append(DepthPanel(name))
        elif not isinstance(result, shown) and not (name == first.name and isinstance(result, DetectionResult)):
            panels.append(Panel(name))
    return panels


def keep_places(places: list[int], present: Mapping[int, float], count: int) -> list[int]:
    """The classes of ``count`` places after a frame with these shares: those that have one keep it.

    A class that covers much more takes the place of the one that covers least.
    """
    kept = list(places)
    for label, share in sorted(present.items(), key=lambda row: -row[1]):
        if label in kept:
            continue
        if len(kept) < count:
            kept.append(label)
            continue
        least = min(kept, key=lambda one: present.get(one, 0.0))
        if share > REPLACED * present.get(least, 0.0):
            kept[kept.index(least)] = label
    return kept


def round_up(metres: float) -> float:
    """The next of the numbers 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(metres))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= metres * (1 - 1e-9))


def _columns(width: int) -> int:
    return max(1, width // NAME)


def _as_masks(result: Result) -> SegmentResult:
    assert isinstance(result, SegmentResult)
    return result


def _as_depth(result: Result) -> DepthResult:
    assert isinstance(result, DepthResult)
    return result
