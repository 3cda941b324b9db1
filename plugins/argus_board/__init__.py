"""A run's curves in TensorBoard, below RUN/tensorboard; without tensorboard (extra ``track``) nothing happens."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from argus_board.curves import Curves
from argus_core import hookimpl

_open: dict[Path, Curves] = {}


@hookimpl
def arena_started(run: Path, config: Mapping[str, Any]) -> None:
    """Follow the run from now on, if TensorBoard is there."""
    if find_spec("tensorboard") is not None:
        _open[run] = Curves(run / "tensorboard", config)


@hookimpl
def arena_logged(run: Path, record: Mapping[str, Any]) -> None:
    """Add one line of the log to the curves of its head."""
    if run in _open:
        _open[run].add(record)


@hookimpl
def arena_finished(run: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the selected scores and let go of the files."""
    if run in _open:
        _open.pop(run).finish(results)
