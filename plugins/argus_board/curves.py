"""Log records as TensorBoard scalars: one TensorBoard run per head, so that heads share a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_board.values import Scalars, of_row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Curves:
    """Event files below ``folder``, one directory per head."""

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

    def close(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the scores of each result row at the step they were selected, and close the files."""
        for head, row in results.items():
            self.write(head, of_row(row))
        for writer in self._writers.values():
            writer.close()

    def _start(self, head: str, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        # A resumed run goes back to its last saved state: what an earlier try wrote from here on is void.
        writer = SummaryWriter(str(self._folder / head), purge_step=step)
        writer.add_text("config", f"```json\n{json.dumps(self._config['heads'][head], indent=2)}\n```", step)
        self._writers[head] = writer
        return writer
