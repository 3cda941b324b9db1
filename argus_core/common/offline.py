"""Whether the network may be used."""

from __future__ import annotations

import os

__all__ = ["offline"]


def offline() -> bool:
    """Whether ARGUS_OFFLINE forbids any use of the network."""
    return os.environ.get("ARGUS_OFFLINE", "") not in ("", "0")
