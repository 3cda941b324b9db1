"""Sums over the batches that heads are fitted on, of which each process of a run reads its share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.tokens import Features

Targets = TypeVar("Targets")
T = TypeVar("T")


@runtime_checkable
class SharedBatches(Protocol):
    """Batches that several processes are fitted on; whoever iterates over them gets all of them."""

    def share(self) -> Iterable[tuple[Features, Any]]:
        """The batches of this process; those of all processes, in order of rank, are all batches in order."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in order of rank."""
        ...


def total_over_batches(batches: Iterable[tuple[Features, Targets]], part: Callable[[Features, Targets], T]) -> T:
    """The sum of ``part(features, targets)`` over all batches that a head is fitted on, the same in every process.

    ``part`` gives what ``+`` joins, such as a number, a tensor, or a list, which grows in order; or a tuple of them,
    joined one by one. Tensors of the sum are on the CPU. Under several processes each reads its share of the batches:
    ``part`` must leave nothing behind but its result. Raises ArgusError where there are no batches.
    """
    own, gather = (batches.share(), batches.gather) if isinstance(batches, SharedBatches) else (batches, _alone)
    total: T | None = _sum(gather(_sum(_on_cpu(part(*batch)) for batch in own)))
    if total is None:
        raise ArgusError("there is nothing to fit on: no batch was given")
    return total


def _alone(value: Any) -> list[Any]:
    return [value]


def _sum(parts: Iterable[Any]) -> Any:
    """The sum of those that are not None; None without any."""
    return reduce(_add, parts, None)


def _add(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return tuple(map(_add, a, b)) if type(a) is tuple else a + b


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return type(value)(map(_on_cpu, value)) if type(value) in (list, tuple) else value
