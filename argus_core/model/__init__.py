"""Heads composed over one backbone: passes, predictions, cost, and the questions a user asks."""

from argus_core.model.composition import Composition
from argus_core.model.perception import Perception

__all__ = [
    "Composition",
    "Perception",
]
