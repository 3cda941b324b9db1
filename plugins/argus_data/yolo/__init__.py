"""YOLO: a text file of labels for each image."""

from argus_data.yolo.split import open_yolo

__all__ = ["open_yolo"]
