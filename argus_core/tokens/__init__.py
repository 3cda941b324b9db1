"""What a backbone gives and a head reads: token grids, what a head needs of them, and where they come from."""

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
