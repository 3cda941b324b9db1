"""Tokens, which backbones compute and heads read: their values, what a head needs, and sources of them."""

from argus_core.tokens.border import repeat_border
from argus_core.tokens.source import Item, PlacedTokens, TokenSource
from argus_core.tokens.taps import Taps, common_stride, default_layers, pyramid_layers, quarter_layers, restride
from argus_core.tokens.types import FeatureInfo, Features, FinalNorm, Needs, Tokens, cell_mask

__all__ = [
    "FeatureInfo",
    "Features",
    "FinalNorm",
    "Item",
    "Needs",
    "PlacedTokens",
    "Taps",
    "TokenSource",
    "Tokens",
    "cell_mask",
    "common_stride",
    "default_layers",
    "pyramid_layers",
    "quarter_layers",
    "repeat_border",
    "restride",
]
