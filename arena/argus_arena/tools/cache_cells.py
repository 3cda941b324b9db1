"""A cache written by the workers of an engine, each of which begins with its share of the shards."""

from __future__ import annotations

from collections import deque

from argus_arena.engines.cells import Cell
from argus_arena.engines.find import find_engine
from argus_arena.requests import CacheRequest
from argus_arena.tools.cache import build_cache, holds_caches
from argus_core.common.folders import claim
from argus_core.common.progress import ProgressBar
from argus_core.errors import ArgusError


def cache_cells(request: CacheRequest, label: str = "") -> list[Cell]:
    """A cell for each of the ``parts`` of a cache, one by default."""
    parts = request.parts or 1
    # A part is named even where there is one: the worker may be a task of a SLURM array, which counts other things.
    plain = request.model_copy(update={"engine": "local", "engine_options": {}, "parts": None})
    return [
        Cell(f"{label}cache {number}/{parts}", build_cache, (plain.model_copy(update={"part": f"{number}/{parts}"}),))
        for number in range(1, parts + 1)
    ]


def cache_with_engine(request: CacheRequest) -> None:
    """Write a cache by the workers of an engine; raises ArgusError if parts of it failed, after the others ended."""
    claim(request.out, holds_caches, "caches")
    failures = []
    with find_engine(request.engine, request.engine_options, request.out) as engine:
        cells = deque(cache_cells(request))
        bar = ProgressBar("cache", len(cells), "parts", every=float("inf"))
        for cell, outcome in engine.run(cells):
            bar.advance()
            bar.print(bar.line(f"{cell.name}: {outcome.failure or 'done'}"))
            failures += [f"{cell.name}: {outcome.failure}"] if outcome.failure else []
    if failures:
        raise ArgusError(f"{'; '.join(failures)}; the same command goes on with what is left")
