"""The tasks a head can solve, a package each: values, task, metric, loss, result and example."""

from argus_core.tasks.base import Task
from argus_core.tasks.metric import Metric
from argus_core.tasks.result import PlainResult, Result

__all__ = [
    "Metric",
    "PlainResult",
    "Result",
    "Task",
]
