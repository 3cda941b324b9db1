"""To be written."""

from argus_core.errors import ArgusError


def open_imagenet(path: str = ""):
    raise ArgusError("not written yet")
