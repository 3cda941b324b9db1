"""Files of results that other tools read: a writer for each format, and all of them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from argus_core.formats.table import FORMATS

if TYPE_CHECKING:
    from argus_core.formats.files import ResultFiles as ResultFiles

__all__ = ["FORMATS", "ResultFiles"]


def __getattr__(name: str) -> Any:
    """``ResultFiles``, which needs torch, when it is first used."""
    if name != "ResultFiles":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from argus_core.formats.files import ResultFiles

    return ResultFiles
