"""Many heads on the same tokens, over several seeds: trained in groups on one read each, and ranked."""

from __future__ import annotations

import time
from collections.abc import Sequence

from argus_arena.comparison.comparing import FAILURES, Comparing
from argus_arena.comparison.course import follow
from argus_arena.comparison.opened import close
from argus_arena.engines.find import find_engine
from argus_arena.leaderboard.board import print_board
from argus_arena.leaderboard.standings import Standing
from argus_arena.requests import Comparison, RunRequest
from argus_core.common.files import write_json
from argus_core.common.progress import finished, resumable
from argus_core.errors import ArgusError


def compare_heads(request: RunRequest, comparison: Comparison) -> tuple[list[Standing], dict[str, str]]:
    """Train, or go on training, every head with every seed, write the leaderboard and print it.

    A head that fails is named at the end and stops no other; heads train with the same numbers as alone. Returns the
    entries, and what failed and why, by ``seedN/HEAD``, or by its name for a head that was not begun.
    """
    began, out = time.perf_counter(), comparison.out
    comparing = Comparing(request, comparison)
    try:
        with resumable(out), find_engine(comparison.engine, comparison.engine_options, out) as engine:
            for _ in follow([comparing], engine, "compare"):
                pass
    finally:
        close()
    if comparing.failure:
        raise ArgusError(comparing.failure)
    entries = conclude(comparing)
    finished("leaderboard", f"{out / 'leaderboard.json'} (.csv, .md)", time.perf_counter() - began)
    print(f"next: arena report {out} --out report.html")
    return entries, comparing.failures


def conclude(comparing: Comparing) -> list[Standing]:
    """Write the leaderboard, and print it with what lost to the floor or failed."""
    write_json(comparing.out / FAILURES, comparing.failures)
    entries = comparing.rank()
    print_board([comparing.out])
    for line in [*below_floor(entries), *(f"failed: {name}: {why}" for name, why in comparing.failures.items())]:
        print(line)
    return entries


def below_floor(entries: Sequence[Standing]) -> list[str]:
    """A line that names the heads which score no better than the closed-form one, where there is one."""
    from argus_core.registry import TASKS

    lines = []
    for floor in entries:
        if TASKS.load(floor.rows[0]["task"]).floor != floor.rows[0]["head"]:
            continue
        value, sign = floor.mean(floor.primary), 1 if floor.rows[0]["higher_is_better"] else -1
        losers = [entry.name for entry in entries if entry is not floor and _loses(entry, value, sign)]
        lines.append(f"no better than {floor.name}, which takes no gradient step: {', '.join(losers) or 'none'}")
    return lines


def _loses(entry: Standing, floor: float | None, sign: int) -> bool:
    value = entry.mean(entry.primary)
    return value is None or (floor is not None and sign * value <= sign * floor)
