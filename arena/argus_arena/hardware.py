"""The hardware that a run was computed on, as records and as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Stretch = Mapping[str, Any]
"""``Distributed.hardware`` with the precision of the ``tokens``, and ``from_step``, the first step on it."""
DECIDING = ("device", "precision", "tokens")
"""Where these differ, numbers differ beyond the last digits; GPU models are not compared."""


def alike(a: Stretch, b: Stretch) -> bool:
    """Whether a run may be continued on the other hardware without ``--new-device``."""
    return deciding([a]) == deciding([b])


def deciding(hardware: Sequence[Stretch]) -> list[tuple[Any, ...]]:
    """The parts of the hardware that rows of one entry have in common."""
    return [tuple(stretch.get(key) for key in DECIDING) for stretch in hardware]


def device(stretch: Stretch) -> str:
    """``cuda bf16``."""
    return f"{stretch['device']} {stretch['precision']}"


def with_tokens(stretch: Stretch) -> str:
    """``cuda bf16 (tokens fp32)``."""
    return f"{device(stretch)} (tokens {stretch['tokens']})"


def listed(hardware: Sequence[Stretch], words: Callable[[Stretch], str] = device) -> str:
    """Every stretch, in order, once."""
    return ", ".join(dict.fromkeys(map(words, hardware)))


def device_changes(hardware: Sequence[Stretch]) -> list[str]:
    """A note on a run that went from one device to another."""
    if len(hardware) < 2:
        return []
    later = [f"from step {stretch['from_step']} on {device(stretch)}" for stretch in hardware[1:]]
    return [f"trained on {', '.join([device(hardware[0]), *later])}"]
