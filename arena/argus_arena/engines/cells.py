"""A piece of work that any process can do, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from argus_core.errors import ArgusError
from argus_core.registry.loading import debugging, describe_error


@dataclass(frozen=True, eq=False)
class Cell:
    """A function of a module and plain values to call it with.

    What a cell computes it leaves in files, so that one that is started again goes on where the files end.
    """

    name: str
    work: Callable[..., Any] = field(repr=False)
    arguments: tuple[Any, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Outcome:
    """What the work of a cell returned, or why it did not; ``lost`` if that was its worker's fault and not its own."""

    value: Any = None
    failure: str = ""
    lost: bool = False


def attempt(cell: Cell) -> Outcome:
    """Do the work of a cell in this process; with ARGUS_DEBUG=1 what it raises is raised as it is."""
    try:
        return Outcome(cell.work(*cell.arguments))
    except (Exception, SystemExit) as error:
        if debugging():
            raise
        return Outcome(failure=str(error) if isinstance(error, ArgusError) else describe_error(error))
