"""The tasks a head can solve, a package each: values, task, metric, loss, result and example."""

from argus_core.tasks.base import Task
from argus_core.tasks.calibration import (
    Calibration,
    Outcomes,
    best_of_classes,
    calibration_error,
    fit_calibration,
    join_outcomes,
    yes_or_no,
)
from argus_core.tasks.contributions import Contributions, Counts, Rescore, join_contributions, shares
from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tasks.metric import Metric, RecordMetric
from argus_core.tasks.result import PlainResult, Result

__all__ = [
    "Calibration",
    "Contributions",
    "Counts",
    "Metric",
    "Outcomes",
    "PlainResult",
    "RecordMetric",
    "Rescore",
    "Result",
    "Task",
    "best_of_classes",
    "calibration_error",
    "draw_extents",
    "fit_calibration",
    "join_contributions",
    "join_outcomes",
    "paint_tokens",
    "shares",
    "yes_or_no",
]
