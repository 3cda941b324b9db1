"""Semantic segmentation: a class for every pixel."""

from argus_core.tasks.segment.clicks import Click, paint_clicks
from argus_core.tasks.segment.loss import Denominator, DenseLogits, MaskTarget, cross_entropy, jaccard
from argus_core.tasks.segment.metric import IoUMetric
from argus_core.tasks.segment.result import SegmentResult, decode_labels
from argus_core.tasks.segment.rle import decode_mask, encode_labels, encode_mask
from argus_core.tasks.segment.task import Segment
from argus_core.tasks.segment.values import ClassMaps, Segmentation

__all__ = [
    "ClassMaps",
    "Click",
    "Denominator",
    "DenseLogits",
    "IoUMetric",
    "MaskTarget",
    "Segment",
    "SegmentResult",
    "Segmentation",
    "cross_entropy",
    "decode_labels",
    "decode_mask",
    "encode_labels",
    "encode_mask",
    "jaccard",
    "paint_clicks",
]
