"""The course of a comparison: its plan, then a cell for each group of heads and seed, and a leaderboard after each."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from argus_arena.comparison.opened import open_once
from argus_arena.comparison.plan import FILE, Plan, is_plan, make_plan
from argus_arena.distributed import join_processes
from argus_arena.engines.cells import Cell, Outcome
from argus_arena.engines.site import JOBS
from argus_arena.leaderboard.board import as_csv, as_markdown, plain
from argus_arena.leaderboard.standings import Standing, rankings, read_rows
from argus_arena.requests import Comparison, RunRequest
from argus_arena.run.config import RunConfig, registered_name
from argus_arena.run.folder import RunFolder
from argus_arena.run.lock import Taken
from argus_arena.training.train import HeadsFailed, run_config
from argus_core.common.files import read_json, write_json, write_text
from argus_core.common.folders import claim

CELLS = "cells.json"
FAILURES = "failures.json"
PATIENCE = 180.0
"""Seconds in which servers of files, as they are usually set up, find that a machine is gone."""


class Comparing:
    """The course of a comparison in its folder; raises ArgusError for a folder of something else.

    ``failures`` are by ``seedN/HEAD``, or by head; ``failure`` is why nothing can be compared. ``label`` goes in front
    of the names of cells.
    """

    def __init__(self, request: RunRequest, comparison: Comparison, label: str = "") -> None:
        self.request, self.comparison, self.label, self.out = request, comparison, label, comparison.out
        claim(self.out, _is_comparison, "comparison")
        self.failures: dict[str, str] = {}
        self.failure = ""
        self._finished: dict[str, dict[str, str]] = {}
        self._groups: dict[Cell, tuple[str, Sequence[str]]] = {}

    @property
    def over(self) -> bool:
        """Whether every group was trained, or failed."""
        return not self._groups

    def begin(self) -> list[Cell]:
        """The cell that plans the others."""
        return [Cell(f"{self.label}plan", make_plan, (self.request, self.comparison))]

    def after(self, cell: Cell, outcome: Outcome) -> tuple[list[Cell], str]:
        """What the plan says is left to do; or what became of a group, with the leaderboard written as it is now."""
        if cell in self._groups:
            return [], self._trained(cell, outcome)
        self.failure = outcome.failure
        return ([] if self.failure else self._planned(outcome.value)), f"{cell.name}{_because(outcome)}"

    def _planned(self, plan: Plan) -> list[Cell]:
        """The cells that are not finished yet."""
        file = self.out / CELLS
        self._finished = read_json(file, "remove it: finished runs are only read again") if file.is_file() else {}
        self.failures = dict(plan.grouping.left_out)
        cells = []
        for seed in range(self.comparison.seeds):
            for number, heads in enumerate(plan.grouping.groups):
                name = f"seed{seed}/group{number}"
                if name in self._finished and RunFolder(self.out / name).config.is_file():
                    self.failures |= self._finished[name]
                else:
                    patience = 0.0 if self.comparison.engine == "local" else PATIENCE
                    arguments = (self.request, plan.group(number, seed), self.out / name, plan.accepted, patience)
                    cells.append(Cell(f"{self.label}{name}", train_group, arguments))
                    self._groups[cells[-1]] = name, heads
        return cells

    def _trained(self, cell: Cell, outcome: Outcome) -> str:
        name, heads = self._groups.pop(cell)
        seed = name.partition("/")[0]
        if outcome.failure:  # not finished: the same command tries it again
            self.failures[f"{seed}/{'+'.join(heads)}"] = outcome.failure
        else:
            self._finished[name] = {f"{seed}/{head}": reason for head, reason in outcome.value.items()}
            self.failures |= self._finished[name]
            write_json(self.out / CELLS, self._finished)
        write_json(self.out / FAILURES, self.failures)
        if any(self.out.glob("seed*/group*/*/result.json")):
            self.rank()
        return f"{cell.name} ({', '.join(heads)}){_because(outcome)}"

    def rank(self) -> list[Standing]:
        """Write the leaderboard as JSON, CSV and Markdown; raises ArgusError without a result."""
        ranked = rankings(read_rows([self.out]))
        write_json(self.out / "leaderboard.json", plain(ranked))
        write_text(self.out / "leaderboard.csv", as_csv(ranked))
        write_text(self.out / "leaderboard.md", as_markdown(ranked))
        return [entry for standings in ranked.values() for entry in standings]


def train_group(
    request: RunRequest, config: RunConfig, run: Path, accepted: Sequence[str], patience: float = 0.0
) -> dict[str, str]:
    """Train heads side by side, or go on; returns why some of them failed.

    A file server keeps the lock of a machine that died for a while: it is waited for, up to ``patience`` seconds.
    """
    for head in config.heads.values():
        if head.file:
            registered_name(head.file.spec)
    data, plugins = open_once(request)
    end = time.monotonic() + patience
    with join_processes(request.device) as process:
        print(f"seed {config.request.seed}: {', '.join(config.heads)}", file=sys.stderr)
        while True:
            try:
                run_config(config, data, plugins, process, run, accepted)
            except HeadsFailed as failed:
                return dict(failed.reasons)
            except Taken:
                if time.monotonic() >= end:
                    raise
                time.sleep(patience / 60)
            else:
                return {}


def _because(outcome: Outcome) -> str:
    return f": {outcome.failure}" if outcome.failure else ""


def _is_comparison(out: Path) -> bool:
    """Whether a folder holds the plan of a comparison, or only what an engine left before there was one."""
    return is_plan(out / FILE) or all(entry.name == JOBS or entry.name[0] == "." for entry in out.iterdir())
