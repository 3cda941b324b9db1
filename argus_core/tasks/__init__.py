"""The tasks a head can solve, a package each: values, task, metric, loss, result and example."""

from argus_core.tasks.base import Task
from argus_core.tasks.contributions import Contributions, Counts, Rescore, join_contributions, shares
from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tasks.metric import Metric, RecordMetric
from argus_core.tasks.result import PlainResult, Result

__all__ = [
    "Contributions",
    "Counts",
    "Metric",
    "PlainResult",
    "RecordMetric",
    "Rescore",
    "Result",
    "Task",
    "draw_extents",
    "join_contributions",
    "paint_tokens",
    "shares",
]
