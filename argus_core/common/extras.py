"""Optional libraries of the extras, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from argus_core.errors import ArgusError

__all__ = ["need"]


def need(module: str, extra: str) -> ModuleType:
    """Import a module; raises ArgusError with what to install if it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ArgusError(
            f"this needs {module.partition('.')[0]} ({error}): pip install 'argus-perception[{extra}]'"
        ) from error
