"""Registering objects of a notebook or script by name, as installed packages do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from argus_core.errors import ArgusError
from argus_core.protocols import Protocol
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS, Registry


def register(name: str, target: Callable[..., Any] | Protocol) -> None:
    """Make a head, task, protocol or backbone factory known as ``name`` in this process.

    A class that was registered before under this name, as when a notebook's cell is run again, is replaced. Raises
    ArgusError for a name that is taken, and for a head whose name does not begin with its task.
    """
    registry = registry_of(target)
    solved, title = getattr(target, "solves", None), getattr(target, "__name__", "")
    if solved is not None and name.removeprefix(f"{solved.name}.") in ("", name):
        raise ArgusError(f"head {title} solves {solved.name!r}: name it {solved.name}.NAME, not {name!r}")
    if registry is TASKS and (own_name := getattr(target, "name", name)) != name:
        raise ArgusError(f"task {title} calls itself {own_name!r}; register it by that name, not {name!r}")
    registry.register(name, target)


def registry_of(target: Any) -> Registry:
    """The registry for objects of this kind; raises ArgusError if there is none."""
    from argus_core.head import Head
    from argus_core.tasks import Task

    if isinstance(target, type) and issubclass(target, Head):
        return HEADS
    if isinstance(target, type) and issubclass(target, Task):
        return TASKS
    if isinstance(target, Protocol):
        return PROTOCOLS
    if inspect.isroutine(target) or isinstance(target, partial):
        return BACKBONES
    raise ArgusError(
        f"{target!r} cannot be registered; give a Head or Task class, a Protocol or a function that makes a Backbone"
    )
