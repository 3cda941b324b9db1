"""Commands that train and score: train, eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from argus_arena.cli.options import Config, request_options, with_options
from argus_arena.requests import EvalRequest, RunRequest, check_names, given_options, make, make_request
from argus_core.cli.early import check_out, placed

IN_FILES_ALONE = ("eval_batch", "save_every")
"""Fields of a run that a configuration file may set, and no option."""


@with_options(request_options(RunRequest, without=IN_FILES_ALONE, optional=RunRequest.model_fields))
def train(
    *,
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option("--out", callback=placed(check_out), help="run folder; the same command resumes it")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the resolved configuration and stop")] = False,
    **values: Any,
) -> None:
    """Train heads side by side on cached or live tokens and score them; run it again to resume.

    A head is called by what follows the task in its name, linear for
    depth.linear, or by all of it, depth_linear, where several heads of the run
    share that part. NAME=HEAD gives it another name.
    """
    request = make_request(given_options(RunRequest, values), config)
    check_names(request)  # before torch is imported
    from argus_arena.training.train import train_run

    train_run(request, out, dry_run)


@with_options(request_options(EvalRequest))
def evaluate(
    *,
    explain: Annotated[bool, typer.Option("--explain", help="print every choice behind the scores and stop")] = False,
    **values: Any,
) -> None:
    """Score saved heads with live tokens: on a split, on other data, or under a published protocol."""
    request = make(EvalRequest, values, "the evaluation")
    if explain:
        from argus_arena.tools.rescore import print_explanation

        print_explanation(request)
    else:
        from argus_arena.tools.rescore import evaluate_run

        evaluate_run(request)
