"""A contact sheet: suggested images with what a head says of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argus_core.draw.palette import Pixels
from argus_core.model.answerer import Answerer
from argus_core.model.composite import Cell, grid, tile_size
from argus_core.teach.pool import Suggestion

SIDE = 400
"""Each image has the area of a square of this side in pixels."""
MOST = 64
"""Images on a sheet."""


def draw_sheet(argus: Answerer, name: str, suggestions: Sequence[Suggestion]) -> tuple[Pixels, list[str]]:
    """The picture of the first suggestions, numbered from 1, and what the head ``name`` says of all in a few words."""
    cells: list[Cell] = []
    said: list[str] = []
    for cell, words in _answers(argus, name, suggestions):
        said.append(words)
        if len(cells) < MOST:
            cells.append(cell)
    return grid(cells), said


def _answers(argus: Answerer, name: str, suggestions: Sequence[Suggestion]) -> Iterator[tuple[Cell, str]]:
    for number, suggestion in enumerate(suggestions, 1):
        (results,) = argus.answer([suggestion.image], [name])
        result = results[name]
        picture = result.tile(tile_size((result.image.shape[0], result.image.shape[1]), SIDE))
        yield Cell(f"{number}  {suggestion.image.name}", result.headline(), picture), result.summary()
