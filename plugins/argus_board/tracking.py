"""What trackers share: the hooks that follow a run, the values to report, and a memory that outlives the process."""

from __future__ import annotations

import atexit
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from argus_core.common.files import read_json, write_json
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import hookimpl

Results = Mapping[str, Mapping[str, Any]]
"""Result rows by head."""
POSITION = ("step", "head", "epoch", "trial")
"""Fields of a training record that are no values to plot."""


class Scalars(NamedTuple):
    """Finite values by tag at one step; within a ``stage`` of a head, steps only grow."""

    stage: str
    step: int
    values: dict[str, float]


class Tracker(Protocol):
    """The destination of the scalars of one arena run."""

    def write(self, head: str, scalars: Scalars) -> None:
        """Add values of one head at one step."""

    def close(self, results: Results) -> None:
        """Add the scores of each result row and release everything; a head without a row did not finish."""


class TrackerHooks:
    """Hook functions that pass the events of a run on to its tracker, if ``start(run, config)`` returns one.

    A run that ends without ``arena_finished`` is closed without results when the process exits.
    """

    def __init__(self, start: Callable[[Path, Mapping[str, Any]], Tracker | None]) -> None:
        self._start = start
        self._trackers: dict[Path, Tracker] = {}

    @hookimpl
    def arena_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """Start a tracker for the run."""
        tracker = self._start(run, config)
        if tracker is not None:
            self._trackers[run] = tracker
            # Registered again for each run, so that it is called before the exit handlers of the tracker's library.
            atexit.unregister(self._close_all)
            atexit.register(self._close_all)

    @hookimpl
    def arena_logged(self, run: Path, record: Mapping[str, Any]) -> None:
        """Report one line of the log."""
        if run in self._trackers:
            with self._dropped_on_failure(run) as tracker:
                tracker.write(record["head"], record_scalars(record))

    @hookimpl
    def arena_finished(self, run: Path, results: Results) -> None:
        """Report the results and close the tracker."""
        if run in self._trackers:
            with self._dropped_on_failure(run) as tracker:
                tracker.close(results)
            self._trackers.pop(run)

    @contextmanager
    def _dropped_on_failure(self, run: Path) -> Iterator[Tracker]:
        # A tracker that raised, as when its server is gone, is not called again, not even at exit.
        try:
            yield self._trackers[run]
        except Exception:
            self._trackers.pop(run)
            raise

    def _close_all(self) -> None:
        while self._trackers:
            with suppress(Exception):
                self._trackers.popitem()[1].close({})


def is_requested(library: str, variables: Sequence[str]) -> bool:
    """Whether one of these environment variables is set; ArgusError if it is and the library is missing.

    An installed library is no reason to act: nothing leaves the machine unasked. The extra has the library's name.
    """
    names = [name for name in variables if os.environ.get(name)]
    if names and find_spec(library) is None:
        raise ArgusError(f"{names[0]} is set, but {library} is missing: pip install 'argus-perception[{library}]'")
    return bool(names)


def record_scalars(record: Mapping[str, Any]) -> Scalars:
    """A line of the log as ``train/loss``, ``train/lr`` (a sweep's ``train lr=3/loss``), or ``live/AP``, ``ema/AP``."""
    if "eval" in record:
        return _scalars(record["weights"], record["step"], record["eval"])
    stage = f"train {record['trial']}" if "trial" in record else "train"
    return _scalars(stage, record["step"], {key: value for key, value in record.items() if key not in POSITION})


def result_scalars(row: Mapping[str, Any]) -> Scalars:
    """The scores in a result row as ``best/AP`` at the step they were selected."""
    return _scalars("best", row["selected"]["step"], row["metrics"])


def _scalars(stage: str, step: int, values: Mapping[str, float | None]) -> Scalars:
    finite = {f"{stage}/{name}": v for name, v in values.items() if v is not None and math.isfinite(v)}
    return Scalars(stage, step, finite)


def parameters(config: Mapping[str, Any], head: str) -> dict[str, Any]:
    """The settings of a head, flat: ``head``, ``options.width``, ``recipe.lr``, ``request.seed`` and so on."""
    return _flat({**config["heads"][head], "request": config.get("request", {})})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def group(run: Path) -> str:
    """The group of a run's heads: the end of its folder's path, as in ``runs/fcos-1a2b3c4d``."""
    return "/".join(run.absolute().parts[1:][-3:])[-128:]


class Memory:
    """The ids of the tracker's runs by head, and the step up to which each of their stages was reported.

    A resumed run repeats the steps since its last saved state with the same values, so these are reported once.
    ``file`` is written when a run starts and ends, never in between. For a tracker that stores everything at once,
    the run's own ``log`` shows what a killed process had reported.
    """

    def __init__(self, file: Path, log: Path | None = None) -> None:
        self._file = file
        content: dict[str, Any] = read_json(file, "remove it to begin new runs in the tracker") if file.exists() else {}
        self.runs: dict[str, str] = {head: entry["run"] for head, entry in content.items()}
        self._steps: dict[str, dict[str, int]] = defaultdict(dict, {head: e["told"] for head, e in content.items()})
        if content and log is not None:
            for record in _complete_lines(log):
                self.is_new(record["head"], record_scalars(record))

    def begin(self, head: str, run: str) -> None:
        """Use ``run`` for a head from now on; nothing of it was reported yet."""
        self.runs[head] = run
        self._steps[head] = {}

    def is_new(self, head: str, scalars: Scalars) -> bool:
        """Whether this step of a stage was not reported before; it counts as reported from now on."""
        last = self._steps[head].get(scalars.stage, -1)
        self._steps[head][scalars.stage] = max(last, scalars.step)
        return scalars.step > last

    def save(self) -> None:
        """Write the file, atomically."""
        write_json(self._file, {head: {"run": run, "told": self._steps[head]} for head, run in self.runs.items()})


def _complete_lines(log: Path) -> Iterator[dict[str, Any]]:
    # A killed process may have left part of a line at the end.
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        try:
            yield json.loads(line)
        except ValueError:
            return
