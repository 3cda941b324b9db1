"""A cache written by the workers of an engine, each of which begins with its share of the shards."""

from __future__ import annotations

import time
from collections import deque

from argus_arena.engines.cells import Cell
from argus_arena.engines.find import find_engine
from argus_arena.requests import CacheRequest
from argus_arena.tools.cache import build_cache, holds_caches
from argus_core.common.folders import claim
from argus_core.common.progress import ProgressBar, finished, resumable
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


def write_caches(request: CacheRequest) -> None:
    """Write, or finish, caches in this process or by the workers of an engine.

    Raises ArgusError for shares that nobody would take, and if parts failed, after the others ended.
    """
    if request.engine == "local":
        if request.parts or request.engine_options:
            raise ArgusError("--parts and --engine-set are about workers: add --engine ray or slurm, or leave them out")
        with resumable(request.out):
            return build_cache(request)
    if request.part:
        raise ArgusError("--part is the share of one process: with an engine say how many there are, with --parts")
    _write_with_engine(request)


def _write_with_engine(request: CacheRequest) -> None:
    claim(request.out, holds_caches, "caches")
    began, failures = time.perf_counter(), []
    with resumable(request.out), find_engine(request.engine, request.engine_options, request.out) as engine:
        cells = deque(cache_cells(request))
        bar = ProgressBar("cache", len(cells), "parts", every=float("inf"))
        for cell, outcome in engine.run(cells):
            bar.advance()
            bar.print(bar.line(f"{cell.name}: {outcome.failure or 'done'}"))
            failures += [f"{cell.name}: {outcome.failure}"] if outcome.failure else []
    if failures:
        raise ArgusError(f"{'; '.join(failures)}; the same command goes on with what is left")
    finished("cached tokens", request.out, time.perf_counter() - began)
