"""Objects of a notebook or script under names, as installed packages have them."""

from __future__ import annotations

from typing import Any

from argus_core.errors import ArgusError
from argus_core.protocol import Protocol
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS, Registry


def register(name: str, target: Any) -> None:
    """Make a head, task, protocol or backbone factory known as ``name`` in this process.

    A class that was registered before under this name, as when a notebook's cell is run again, is replaced. Raises
    ArgusError for a name that a package has, and for a head whose name does not begin with its task.
    """
    _registry(name, target).register(name, target)


def _registry(name: str, target: Any) -> Registry:
    from argus_core.head import Head
    from argus_core.tasks.base import Task

    if isinstance(target, type) and issubclass(target, Head):
        wanted = f"{target.solves.name}."
        if not name.startswith(wanted) or name == wanted:
            raise ArgusError(
                f"head {target.__name__} solves {target.solves.name!r}: name it {wanted}NAME, not {name!r}"
            )
        return HEADS
    if isinstance(target, type) and issubclass(target, Task):
        if name != target.name:
            raise ArgusError(
                f"task {target.__name__} calls itself {target.name!r}; register it by that name, not {name!r}"
            )
        return TASKS
    if isinstance(target, Protocol):
        return PROTOCOLS
    if callable(target) and not isinstance(target, type):
        return BACKBONES
    raise ArgusError(
        f"{target!r} cannot be registered; give a Head or Task class, a Protocol or a function that makes a Backbone"
    )
