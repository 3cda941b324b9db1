"""What a data set offers and how it is checked; adapters live in plugins."""

from argus_core.data.layout import Layout
from argus_core.data.split import DataSet, Split
from argus_core.errors import Fault

__all__ = [
    "DataSet",
    "Fault",
    "Layout",
    "Split",
]
