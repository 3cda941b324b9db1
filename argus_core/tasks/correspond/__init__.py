"""Semantic correspondence: points of one image found in another."""

from argus_core.tasks.correspond.descriptors import Described, DescriptorMaps, Found, Search
from argus_core.tasks.correspond.metric import PCKMetric
from argus_core.tasks.correspond.result import MatchResult
from argus_core.tasks.correspond.task import Correspond
from argus_core.tasks.correspond.values import Landmarks, Matches

__all__ = [
    "Correspond",
    "Described",
    "DescriptorMaps",
    "Found",
    "Landmarks",
    "MatchResult",
    "Matches",
    "PCKMetric",
    "Search",
]
