"""A protocol: every choice between a trained head and a published number, under one name with a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from argus_core.canvas import Canvas, Flipped, Framing
from argus_core.errors import ArgusError
from argus_core.registry import PROTOCOLS


@dataclass(frozen=True)
class Protocol:
    """How a task is scored on a benchmark; registered under ``argus.protocols`` by its name.

    ``name`` ends with a version, raised whenever the same head would score differently. ``framing`` is how images are
    placed on canvases, ``flip`` averages with the mirrored image, ``metric`` are options of the task's metric, and
    ``notes`` contain everything else: the split, the statistics, and differences from the source.
    """

    name: str
    task: str
    summary: str
    source: str
    framing: Framing
    flip: bool = False
    metric: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> Framing:
        """The framing of every pass, mirrored ones included."""
        return Flipped(self.framing) if self.flip else self.framing

    @property
    def views(self) -> tuple[str, ...]:
        """The views that a cache needs for this protocol."""
        return ("id", "hflip") if self.flip else ("id",)

    @property
    def canvas(self) -> Canvas | None:
        """The canvas of all passes, if there is a single one; None for windows, for example."""
        return self.framing if isinstance(self.framing, Canvas) else None

    def explain(self) -> dict[str, str]:
        """Every choice in words, in the order in which they are applied to an image."""
        return {
            "protocol": self.name,
            "task": self.task,
            "what": self.summary,
            "source": self.source,
            "framing": repr(self.framing),
            "test-time augmentation": "mean with the mirrored image" if self.flip else "none",
            **{f"metric {key}": str(value) for key, value in self.metric.items()},
            **{f"note {number}": note for number, note in enumerate(self.notes, 1)},
        }


def find_protocol(name: str) -> Protocol:
    """The protocol registered as ``name``; raises ArgusError if there is none."""
    protocol = PROTOCOLS.load(name)
    if not isinstance(protocol, Protocol):
        raise ArgusError(f"{PROTOCOLS.find(name)} is {protocol!r}, not a Protocol")
    return protocol
