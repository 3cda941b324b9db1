"""Scores with intervals, a row for each name and a column for each case, as one SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import NamedTuple
from xml.sax.saxutils import escape

from curves import COLOURS, STYLE

NAMES, WIDTH, ROW, TOP, BOTTOM, GAP = 160, 205, 20, 50, 34, 30
"""Pixels: of the column of names, of a case, of a row, above and below the rows, and between two cases."""
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)


class Dot(NamedTuple):
    """A score and its 95 % interval."""

    score: float
    low: float
    high: float


class Column(NamedTuple):
    """A case: the dots of each row by group; ``line`` marks a score to compare with."""

    title: str
    dots: Mapping[str, Mapping[str, Dot]]
    line: float | None = None


def draw_dots(columns: Sequence[Column], horizontal: str) -> str:
    """The picture, with a legend of all groups above the columns."""
    groups = list(dict.fromkeys(group for column in columns for dots in column.dots.values() for group in dots))
    rows = list(dict.fromkeys(name for column in columns for name in column.dots))
    width, height = NAMES + len(columns) * (WIDTH + GAP), TOP + len(rows) * ROW + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="none"/>',
    ]
    for number, name in enumerate(groups):
        x = NAMES + number * 140
        parts.append(f'<circle class="{COLOURS[number]}" cx="{x}" cy="11" r="4"/>')
        parts.append(f'<text x="{x + 10}" y="15">{escape(name)}</text>')
    for number, name in enumerate(rows):
        y = TOP + number * ROW
        parts.append(f'<text x="{NAMES - 12}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
    for number, column in enumerate(columns):
        x = NAMES + number * (WIDTH + GAP)
        parts += [f'<g transform="translate({x} {TOP})">', *_column(column, rows, groups), "</g>"]
    end = f'x="{width - GAP}" y="{height - 4}" text-anchor="end"'
    return "\n".join([*parts, f'<text class="small" {end}>{escape(horizontal)}</text>', "</svg>\n"])


def _column(column: Column, rows: Sequence[str], groups: Sequence[str]) -> Iterator[str]:
    most = max(dot.high for dots in column.dots.values() for dot in dots.values())
    step = next(step for step in STEPS if most / step <= 5)
    end, bottom = ceil(most / step) * step, len(rows) * ROW
    yield f'<text class="title" y="-12">{escape(column.title)}</text>'
    for tick in range(round(end / step) + 1):
        x = tick * step / end * WIDTH
        yield f'<path class="grid" d="M{x:.1f} 0V{bottom}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{tick * step:g}</text>'
    if column.line is not None:
        x = column.line / end * WIDTH
        yield f'<path class="grid" style="stroke-dasharray: 4 3; stroke-width: 2" d="M{x:.1f} 0V{bottom}"/>'
    for number, name in enumerate(rows):
        for group, dot in column.dots.get(name, {}).items():
            colour, y = COLOURS[groups.index(group)], number * ROW + ROW / 2
            low, score, high = (value / end * WIDTH for value in (dot.low, dot.score, dot.high))
            yield f'<path class="{colour}" style="stroke-width: 1.5" d="M{low:.1f} {y}H{high:.1f}"/>'
            yield f'<circle class="{colour}" cx="{score:.1f}" cy="{y}" r="4"/>'
