"""A whole Argus as a folder: weights in one safetensors file, everything else in config.json."""

from __future__ import annotations

from argus_core.bundle.huggingface import export_hf
from argus_core.bundle.read import load
from argus_core.bundle.write import save

__all__ = ["export_hf", "load", "save"]
