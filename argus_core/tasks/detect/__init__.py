"""Object detection: boxes of named classes."""

from argus_core.tasks.detect.metric import CocoMetric
from argus_core.tasks.detect.result import DetectionResult
from argus_core.tasks.detect.task import Detect
from argus_core.tasks.detect.values import LIMIT, Boxes, BoxTarget, Detections

__all__ = [
    "LIMIT",
    "BoxTarget",
    "Boxes",
    "CocoMetric",
    "Detect",
    "DetectionResult",
    "Detections",
]
