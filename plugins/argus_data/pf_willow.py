"""To be written."""

from argus_core.errors import ArgusError


def open_pf_willow(path: str = ""):
    raise ArgusError("not written yet")
