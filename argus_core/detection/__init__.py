"""What several detection heads share: grids, assignment, losses, layers and post-processing."""

from argus_core.detection.assign import ATSS, IGNORE, Assigner, FCOSAssigner, Scene, assign, scenes
from argus_core.detection.blocks import (
    PRIOR,
    ConvGN,
    DenseTowers,
    DepthwiseResidual,
    Tower,
    UpGN,
    group_norm,
    logit,
    prediction,
)
from argus_core.detection.cosine import CosineClassifier
from argus_core.detection.dense import DenseHead, DenseOutput, Level
from argus_core.detection.geometry import (
    Points,
    boxes_to_ltrb,
    centerness,
    centres,
    covers,
    giou_loss,
    grid_points,
    ltrb_to_boxes,
    paired_iou,
)
from argus_core.detection.heatmaps import (
    SmoothUpGN,
    cells_of,
    counted_cells,
    draw,
    finer_stride,
    heat_loss,
    locate,
    peaks,
)
from argus_core.detection.levels import LEVELS, FeaturePyramid, SimplePyramid, pyramid_strides, sine_code
from argus_core.detection.light import LightHead, MeanPyramid, halvings, light_taps
from argus_core.detection.losses import object_total, without_crowds
from argus_core.detection.named_classes import NamedClasses, class_vectors
from argus_core.detection.postprocess import DecodeOptions, suppress
from argus_core.detection.sets import SetHead, SetOutput

__all__ = [
    "ATSS",
    "IGNORE",
    "LEVELS",
    "PRIOR",
    "Assigner",
    "ConvGN",
    "CosineClassifier",
    "DecodeOptions",
    "DenseHead",
    "DenseOutput",
    "DenseTowers",
    "DepthwiseResidual",
    "FCOSAssigner",
    "FeaturePyramid",
    "Level",
    "LightHead",
    "MeanPyramid",
    "NamedClasses",
    "Points",
    "Scene",
    "SetHead",
    "SetOutput",
    "SimplePyramid",
    "SmoothUpGN",
    "Tower",
    "UpGN",
    "assign",
    "boxes_to_ltrb",
    "cells_of",
    "centerness",
    "centres",
    "class_vectors",
    "counted_cells",
    "covers",
    "draw",
    "finer_stride",
    "giou_loss",
    "grid_points",
    "group_norm",
    "halvings",
    "heat_loss",
    "light_taps",
    "locate",
    "logit",
    "ltrb_to_boxes",
    "object_total",
    "paired_iou",
    "peaks",
    "prediction",
    "pyramid_strides",
    "scenes",
    "sine_code",
    "suppress",
    "without_crowds",
]
