"""Pascal VOC: an XML file for each image, or masks."""

from argus_data.voc.split import VocSplit, open_voc

__all__ = ["VocSplit", "open_voc"]
