"""The built-in model ``lite``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["lite"]


def lite() -> Path:
    """The folder of the heads that belong to backbone ``lite2``, as ``Argus.save`` wrote it with variant ``heads``."""
    return Path(__file__).parent / "lite"
