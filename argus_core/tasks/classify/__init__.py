"""Image classification: one of several named classes."""

from argus_core.tasks.classify.metric import Accuracy
from argus_core.tasks.classify.result import ClassResult
from argus_core.tasks.classify.task import Classify
from argus_core.tasks.classify.values import Classes, ClassTarget

__all__ = [
    "Accuracy",
    "ClassResult",
    "ClassTarget",
    "Classes",
    "Classify",
]
