"""Curves with bands as one SVG picture, which follows the reader's light or dark colours."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor, log
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, COLUMNS = 300, 220, 3
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 28, 38
"""Room around a panel's axes in pixels."""
LEGEND = 26
ROOM = 34
"""Pixels between two numbers below the horizontal axis at least."""
COLOURS = ("c0", "c1", "c2", "c3")
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #ffffff }
text { fill: #1f2328 } .small { font-size: 11px; fill: #57606a } .title { font-weight: 600 }
.grid { stroke: #d0d7de; stroke-width: 1 } .line { fill: none; stroke-width: 2 } .band { opacity: .18; stroke: none }
.c0 { stroke: #0969da; fill: #0969da } .c1 { stroke: #bc4c00; fill: #bc4c00 }
.c2 { stroke: #1a7f37; fill: #1a7f37 } .c3 { stroke: #8250df; fill: #8250df }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #30363d }
  .c0 { stroke: #58a6ff; fill: #58a6ff } .c1 { stroke: #f0883e; fill: #f0883e }
  .c2 { stroke: #3fb950; fill: #3fb950 } .c3 { stroke: #bc8cff; fill: #bc8cff }
}
.line { fill: none }
"""


class Line(NamedTuple):
    """Values by place on the horizontal axis: their mean is drawn, and a band from the least to the largest.

    ``middle`` is drawn in place of the mean, for values that are the ends of an interval.
    """

    name: str
    values: Mapping[int, Sequence[float]]
    middle: Mapping[int, float] | None = None


class Panel(NamedTuple):
    """Axes with lines; the horizontal one is logarithmic."""

    title: str
    vertical: str
    horizontal: str
    lines: Sequence[Line]


def draw(panels: Sequence[Panel]) -> str:
    """The picture, with a legend of all names above the panels."""
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    columns, rows = min(COLUMNS, len(panels)), ceil(len(panels) / COLUMNS)
    width, height = columns * WIDTH, LEGEND + rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="none"/>',
    ]
    for number, name in enumerate(names):
        x = LEFT + number * 110
        parts.append(
            f'<path class="line {COLOURS[number]}" d="M{x} 14h22"/><text x="{x + 28}" y="18">{escape(name)}</text>'
        )
    for number, panel in enumerate(panels):
        place = number % COLUMNS * WIDTH, LEGEND + number // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({place[0]} {place[1]})">', *_panel(panel, names), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, names: Sequence[str]) -> Iterator[str]:
    places = sorted({place for line in panel.lines for place in line.values})
    values = [value for line in panel.lines for each in line.values.values() for value in each]
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if (max(values) - min(values)) / s <= 6)
    low, high = floor(min(values) / step), ceil(max(values) / step)
    span = log(places[-1] / places[0]) or 1

    def x(place: float) -> float:
        return round(LEFT + log(place / places[0]) / span * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value / step - low) / max(high - low, 1) * (HEIGHT - TOP - BOTTOM), 1)

    right = f'x="{WIDTH - RIGHT}" text-anchor="end"'
    yield f'<text class="title" x="{LEFT}" y="12">{escape(panel.title)}</text>'
    yield f'<text class="small" y="12" {right}>{escape(panel.vertical)}</text>'
    for tick in range(low, high + 1):
        level = y(tick * step)
        yield f'<path class="grid" d="M{LEFT} {level}H{WIDTH - RIGHT}"/>'
        yield f'<text class="small" x="{LEFT - 5}" y="{level + 4}" text-anchor="end">{tick * step:.3g}</text>'
    free = 0.0
    for place in places:
        if x(place) >= free:
            anchor = "end" if len(_short(place)) > 3 and place == places[-1] else "middle"
            where = f'x="{x(place)}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}"'
            yield f'<text class="small" {where}>{_short(place)}</text>'
            free = x(place) + ROOM
    yield f'<text class="small" y="{HEIGHT - 8}" {right}>{escape(panel.horizontal)}</text>'
    for line in panel.lines:
        colour, own = COLOURS[names.index(line.name)], sorted(line.values)
        ends = [(place, max(line.values[place])) for place in own]
        ends += [(place, min(line.values[place])) for place in reversed(own)]
        yield f'<path class="band {colour}" d="M{" L".join(f"{x(p)} {y(v)}" for p, v in ends)}Z"/>'
        middle = line.middle or {place: statistics.mean(line.values[place]) for place in own}
        means = [(place, middle[place]) for place in own]
        yield f'<path class="line {colour}" d="M{" L".join(f"{x(p)} {y(v)}" for p, v in means)}"/>'


def _short(number: int) -> str:
    """Thousands as k."""
    return str(number) if number < 1000 else f"{number / 1000:.3g}k"
