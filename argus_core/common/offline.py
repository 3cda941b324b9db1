"""Whether the network is to be left alone."""

from __future__ import annotations

import os


def offline() -> bool:
    """Whether ARGUS_OFFLINE forbids to ask anything of the network."""
    return os.environ.get("ARGUS_OFFLINE", "") not in ("", "0")
