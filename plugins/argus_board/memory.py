"""What a tracker knows of a run across its tries: kept in the run's folder, so that a resumed run goes on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argus_board.values import Scalars, of_record
from argus_core.common.files import read_json, write_json


class Memory:
    """The tracker's run of each head, by id, and the step up to which each stage of it was told.

    A resumed run repeats the steps since its last saved state with the same values, so they are told once. ``file``
    is written when a run starts and ends, never in between. Where a tracker keeps at once what it is told, the run's
    own ``log`` says what a killed process had told it.
    """

    def __init__(self, file: Path, log: Path | None = None) -> None:
        self._file = file
        held: dict[str, Any] = read_json(file, "remove it to begin new runs in the tracker") if file.exists() else {}
        self.runs: dict[str, str] = {head: each["run"] for head, each in held.items()}
        self._told: dict[str, dict[str, int]] = defaultdict(dict, {head: each["told"] for head, each in held.items()})
        if held and log is not None:
            for record in _lines(log):
                self.is_new(record["head"], of_record(record))

    def begin(self, head: str, run: str) -> None:
        """Take ``run`` for a head from now on: nothing of it was told yet."""
        self.runs[head] = run
        self._told[head] = {}

    def is_new(self, head: str, scalars: Scalars) -> bool:
        """Whether this step of a stage was not told before; from now on it was."""
        last = self._told[head].get(scalars.stage, -1)
        self._told[head][scalars.stage] = max(last, scalars.step)
        return scalars.step > last

    def save(self) -> None:
        """Write it down, atomically."""
        write_json(self._file, {head: {"run": run, "told": self._told[head]} for head, run in self.runs.items()})


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; a kill may have left part of one at the end."""
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        try:
            yield json.loads(line)
        except ValueError:
            return
