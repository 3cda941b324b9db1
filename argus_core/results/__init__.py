"""What Argus answers: one typed result per image and task, in pixels of the original image."""

from __future__ import annotations

from argus_core.results.base import Result
from argus_core.results.classes import ClassResult
from argus_core.results.depth import DepthResult
from argus_core.results.detections import DetectionResult
from argus_core.results.matches import MatchResult
from argus_core.results.segments import SegmentResult, decode_labels

__all__ = ["ClassResult", "DepthResult", "DetectionResult", "MatchResult", "Result", "SegmentResult", "decode_labels"]
