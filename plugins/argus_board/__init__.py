"""A run's curves in TensorBoard, below RUN/tensorboard.

Without tensorboard (extra ``track``), and for a run in an object store, nothing happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_board.tracking import Results, Scalars, TrackerHooks, result_scalars
from argus_core.common.places import Address

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Curves:
    """Event files below ``folder``, one TensorBoard run per head, so that heads share a chart."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._writers: dict[str, SummaryWriter] = {}

    def write(self, head: str, scalars: Scalars) -> None:
        """Add values at a step, and flush, since a run may be killed at any time."""
        writer = self._writers.get(head) or self._start(head, scalars.step)
        for tag, value in scalars.values.items():
            writer.add_scalar(tag, value, scalars.step)
        writer.flush()

    def close(self, results: Results) -> None:
        """Add the scores of each result row at the step they were selected, and close the files."""
        for head, row in results.items():
            self.write(head, result_scalars(row))
        for writer in self._writers.values():
            writer.close()

    def _start(self, head: str, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        # A resumed run goes back to its last saved state: later values of an earlier process are void.
        writer = SummaryWriter(str(self._folder / head), purge_step=step)
        writer.add_text("config", f"```json\n{json.dumps(self._config['heads'][head], indent=2)}\n```", step)
        self._writers[head] = writer
        return writer


def _start(run: Path, config: Mapping[str, Any]) -> Curves | None:
    if isinstance(run, Address):  # event files grow, which objects of a store cannot
        return None
    return Curves(run / "tensorboard", config) if find_spec("tensorboard") is not None else None


_hooks = TrackerHooks(_start)
arena_started = _hooks.arena_started
arena_logged = _hooks.arena_logged
arena_finished = _hooks.arena_finished
