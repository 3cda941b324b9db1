"""Data sets of the library `datasets`: saved folders, image folders, tables, the hub."""

from argus_data.hf.data_set import open_hf

__all__ = ["open_hf"]
