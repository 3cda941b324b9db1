"""Pairs of images with points that match."""

from argus_data.pairs.pair_lists import open_pairs
from argus_data.pairs.pf_willow import open_pf_willow
from argus_data.pairs.spair import open_spair

__all__ = ["open_pairs", "open_pf_willow", "open_spair"]
