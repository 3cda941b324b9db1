"""A run in Weights & Biases, one W&B run per head, where WANDB_PROJECT or WANDB_MODE is set."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_board.tracking import Memory, Results, Scalars, TrackerHooks, group, is_requested, parameters, result_scalars

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

VARIABLES = ("WANDB_PROJECT", "WANDB_MODE")


class WandbRuns:
    """The W&B runs of an arena run, in one group; W&B's own variables say where they are stored.

    Raises what W&B raises, as when nobody is logged in.
    """

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._memory = Memory(run / "wandb.json")
        for head in config["heads"]:
            if head not in self._memory.runs:
                self._memory.begin(head, uuid.uuid4().hex)
        self._memory.save()
        self._runs = {head: self._open(run, config, head) for head in config["heads"]}

    def write(self, head: str, scalars: Scalars) -> None:
        """Add values at a step that was not reported before; the server knows the last step of a killed process."""
        run = self._runs[head]
        if self._memory.is_new(head, scalars) and scalars.step >= run.starting_step:
            run.log(scalars.values, step=scalars.step)

    def close(self, results: Results) -> None:
        """Put each result row and its scores into its run's summary, and its notes, and end the runs."""
        for head, run in self._runs.items():
            if head in results:
                run.summary.update({**result_scalars(results[head]).values, "result": dict(results[head])})
                run.notes = "\n\n".join(results[head].get("notes", ()))
            run.finish(exit_code=0 if head in results else 1)
        self._memory.save()

    def _open(self, run: Path, config: Mapping[str, Any], head: str) -> Run:
        import wandb

        quiet = {} if "WANDB_SILENT" in os.environ else {"silent": True}
        offline = os.environ.get("WANDB_MODE") == "offline"  # then a request to resume only makes W&B warn
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "argus",
            group=group(run),
            name=head,
            id=self._memory.runs[head],
            resume=None if offline else "allow",
            reinit="create_new",
            config=parameters(config, head),
            dir=os.environ.get("WANDB_DIR") or run,
            # The arena's own output is no part of a head's run, and W&B would redirect the streams of the process.
            settings=wandb.Settings(console="off", **quiet),
        )


def _start(run: Path, config: Mapping[str, Any]) -> WandbRuns | None:
    disabled = os.environ.get("WANDB_MODE") == "disabled"
    return WandbRuns(run, config) if not disabled and is_requested("wandb", VARIABLES) else None


_hooks = TrackerHooks(_start)
arena_started = _hooks.arena_started
arena_logged = _hooks.arena_logged
arena_finished = _hooks.arena_finished
