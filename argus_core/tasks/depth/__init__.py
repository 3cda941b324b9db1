"""Metric depth: the distance of every pixel from the camera, in metres."""

from argus_core.tasks.depth.metric import DepthMetric
from argus_core.tasks.depth.result import DepthResult
from argus_core.tasks.depth.task import Depth
from argus_core.tasks.depth.values import DepthMap, DepthMaps, DepthTarget, known_depth

__all__ = [
    "Depth",
    "DepthMap",
    "DepthMaps",
    "DepthMetric",
    "DepthResult",
    "DepthTarget",
    "known_depth",
]
