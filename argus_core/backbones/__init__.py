"""Frozen backbones by name, and live tokens: computed when they are read."""

from argus_core.backbones.base import Backbone, Precision, fit_to_grid
from argus_core.backbones.load import load_backbone
from argus_core.backbones.weights import load_strict, read_tensors

__all__ = [
    "Backbone",
    "Precision",
    "fit_to_grid",
    "load_backbone",
    "load_strict",
    "read_tensors",
]
