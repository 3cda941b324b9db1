"""Log records as TensorBoard scalars: one TensorBoard run per head, so that heads share a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NO_CURVE = ("step", "head", "epoch", "trial")
"""Fields of a training record that say where it belongs."""


class Curves:
    """Event files below ``folder``, one directory per head.

    Tags are ``train/loss``, ``train/lr`` and the like (``train lr=3/loss`` in a sweep), ``live/AP`` or ``ema/AP`` by
    the weights scored, and ``best/AP`` for what the result row holds.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a training step or an evaluation, and flush, since a run may be killed at any time."""
        stage = f"train {record['trial']}" if "trial" in record else "train"
        values = {f"{stage}/{name}": value for name, value in record.items() if name not in NO_CURVE}
        if "eval" in record:
            values = {f"{record['weights']}/{name}": value for name, value in record["eval"].items()}
        self._write(record["head"], values, record["step"])

    def finish(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the scores of each result row at the step they were selected, and close the files."""
        for head, row in results.items():
            values = {f"best/{name}": value for name, value in row["metrics"].items()}
            self._write(head, values, row["selected"]["step"])
        for writer in self._writers.values():
            writer.close()

    def _write(self, head: str, values: Mapping[str, float | None], step: int) -> None:
        writer = self._writers.get(head) or self._start(head, step)
        for tag, value in values.items():
            if value is not None:
                writer.add_scalar(tag, value, step)
        writer.flush()

    def _start(self, head: str, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        # A resumed run goes back to its last saved state: what an earlier try wrote from here on is void.
        writer = SummaryWriter(str(self._folder / head), purge_step=step)
        writer.add_text("config", f"```json\n{json.dumps(self._config['heads'][head], indent=2)}\n```", step)
        self._writers[head] = writer
        return writer
