"""To be written."""

from argus_core.errors import ArgusError


def open_pairs(path: str = ""):
    raise ArgusError("not written yet")
