"""Reading images of any kind into upright RGB bytes."""

from argus_core.image.decode import read_numbers
from argus_core.image.folder import IMAGES, Listing, composed, is_hidden, list_images, suffix_of
from argus_core.image.read import ImageSource, read_image
from argus_core.image.size import read_size

__all__ = [
    "IMAGES",
    "ImageSource",
    "Listing",
    "composed",
    "is_hidden",
    "list_images",
    "read_image",
    "read_numbers",
    "read_size",
    "suffix_of",
]
