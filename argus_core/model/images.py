"""The images that a call is about."""

from __future__ import annotations

from collections.abc import Sequence

from argus_core.errors import ArgusError
from argus_core.image import ImageSource


def as_list(images: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """The images as a list: a single image becomes a list of one."""
    return list(images) if isinstance(images, list | tuple) else [images]  # type: ignore[list-item]


def check_images(images: Sequence[ImageSource]) -> None:
    """Raise ArgusError for anything but one or more images in a list."""
    if not isinstance(images, list | tuple):
        raise ArgusError("argus(images) takes a list of images, even of one: argus([image])")
    if not images:
        raise ArgusError("there is no image to look at; give at least one path, PIL image or array")
