"""One data set of several: its caches, then its comparison."""

from __future__ import annotations

from argus_arena.comparison.compare import conclude
from argus_arena.comparison.comparing import Comparing
from argus_arena.engines.cells import Cell, Outcome
from argus_arena.leaderboard.standings import Standing
from argus_arena.requests import CacheRequest, Comparison, RunRequest
from argus_arena.tools.cache_cells import cache_cells
from argus_core.cli.early import named_data
from argus_core.errors import ArgusError


class Domain:
    """The course of one domain: ``standings`` once it is over, or else why there are none, ``failure``."""

    def __init__(
        self, name: str, spec: str | None, run: RunRequest, tokens: CacheRequest, comparison: Comparison
    ) -> None:
        self.name, self.spec, self.out = name, spec, comparison.out
        self.standings: list[Standing] | None = None
        self.failure = "there is no such data set" if spec is None else "it is not finished"
        self._run, self._tokens = run, tokens
        self._comparison = comparison.model_copy(update={"out": self.out / "domains" / name})
        self._caches: set[Cell] = set()
        self._complete = True

    def begin(self) -> list[Cell]:
        """The cells of its caches; none where the data set is missing or none."""
        if self.spec is None:
            return []
        try:
            data, cache = named_data(self.spec), self.out / "caches" / self.name
            run = self._run.model_copy(update={"data": data, "cache": cache})
            self._comparing = Comparing(run, self._comparison, f"{self.name}/")
            cells = cache_cells(self._tokens.model_copy(update={"data": data, "out": cache}), f"{self.name}/")
        except ArgusError as error:
            self.failure = str(error)
            return []
        self._caches = set(cells)
        return cells

    def after(self, cell: Cell, outcome: Outcome) -> tuple[list[Cell], str]:
        """The comparison begins when all caches are there."""
        if cell in self._caches:
            self._caches.remove(cell)
            if outcome.failure:
                self.failure, self._complete = outcome.failure, False
                return [], f"{cell.name}: {outcome.failure}"
            return (self._comparing.begin() if self._complete and not self._caches else []), cell.name
        more, note = self._comparing.after(cell, outcome)
        if self._comparing.failure:
            self.failure = self._comparing.failure
        elif self._comparing.over:
            self._conclude()
        return more, note

    def _conclude(self) -> None:
        try:
            self.standings = conclude(self._comparing)
        except ArgusError as error:  # no head has a result
            self.failure = str(error)
