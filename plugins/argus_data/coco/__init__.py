"""COCO: one JSON file for each split."""

from argus_data.coco.split import CocoSplit, open_coco

__all__ = ["CocoSplit", "open_coco"]
