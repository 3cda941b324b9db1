"""Contributions of samples, written beside the row that they belong to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from argus_arena.scoring.rules import Scoring
from argus_core.errors import ArgusError
from argus_core.registry.loading import debugging, describe_error, home_of
from argus_core.saving.contributions import contributions_path, write_contributions
from argus_core.tasks import Contributions, Metric, Task


def keep_contributions(row: Path, metric: Metric, task: Task, scoring: Scoring) -> dict[str, Any] | None:
    """Write what each sample adds to the scores of a row; what the row says of the file, or None if there is none.

    A metric that keeps none, or whose code for it raises, leaves the row without.
    """
    kept = _contributions(metric)
    if kept is None:
        contributions_path(row).unlink(missing_ok=True)  # of earlier weights
        return None
    return write_contributions(row, kept, task, scoring.metric_options(task), scoring.rules(task))


def _contributions(metric: Metric) -> Contributions | None:
    try:
        return metric.contributions()
    except Exception as error:
        if debugging():
            raise
        reason = str(error) if isinstance(error, ArgusError) else describe_error(error, home_of(type(metric)))
        print(
            f"warning: the row has no intervals, because its metric gives no contributions: {reason}", file=sys.stderr
        )
        return None
