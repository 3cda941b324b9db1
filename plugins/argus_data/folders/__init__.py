"""Data sets whose folders say what an image is, the usual benchmarks among them."""

from argus_data.folders.ade20k import open_ade20k
from argus_data.folders.cityscapes import open_cityscapes
from argus_data.folders.class_folders import open_folder
from argus_data.folders.image_folders import open_images
from argus_data.folders.imagenet import open_imagenet
from argus_data.folders.nyu import open_nyu

__all__ = ["open_ade20k", "open_cityscapes", "open_folder", "open_imagenet", "open_images", "open_nyu"]
