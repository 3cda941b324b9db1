"""To be written."""

from argus_core.errors import ArgusError


def open_images(path: str = ""):
    raise ArgusError("not written yet")
