"""CSV and TSV files of images and classes, or of boxes."""

from argus_data.tables.data_set import open_table

__all__ = ["open_table"]
