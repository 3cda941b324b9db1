"""The tasks a head can solve."""

from argus_core.tasks.base import Metric, Task

__all__ = ["Metric", "Task"]
