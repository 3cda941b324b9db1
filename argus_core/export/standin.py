"""What stands in for code that would freeze sizes or cannot be traced, for as long as a graph is traced."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Functions = Mapping[Callable[..., Any], Callable[..., Any]]


@contextmanager
def replaced(functions: Functions) -> Iterator[None]:
    """Let every loaded module that imported one of ``functions`` under its own name find its stand-in."""
    found = [
        (module, original.__name__, original)
        for module in [*sys.modules.values()]
        for original in functions
        if getattr(module, "__dict__", {}).get(original.__name__) is original
    ]
    try:
        for module, name, original in found:
            setattr(module, name, functions[original])
        yield
    finally:
        for module, name, original in found:
            setattr(module, name, original)


@contextmanager
def symbolic_len(*modules: nn.Module) -> Iterator[None]:
    """Let ``len(tensor)`` be a symbol in the packages of these modules; the number that Python asks for is frozen."""
    packages = {"argus_core"} | {
        base.__module__.partition(".")[0] for module in modules for base in type(module).__mro__[:-1]
    } - {"torch"}
    patched = [
        module
        for name, module in [*sys.modules.items()]
        if name.partition(".")[0] in packages and "len" not in getattr(module, "__dict__", {"len": None})
    ]
    try:
        for module in patched:
            vars(module)["len"] = _len
        yield
    finally:
        for module in patched:
            vars(module).pop("len")


def _len(value: Any) -> Any:
    return value.shape[0] if isinstance(value, Tensor) else builtins.len(value)
