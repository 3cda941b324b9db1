"""To be written."""

from argus_core.errors import ArgusError


def open_nyu(path: str = ""):
    raise ArgusError("not written yet")
