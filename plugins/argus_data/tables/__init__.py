"""CSV and TSV files of images and classes, of boxes, or of clicks."""

from argus_data.tables.clicks import open_clicks
from argus_data.tables.data_set import open_table

__all__ = ["open_clicks", "open_table"]
