"""Ctrl-C ends a step before it ends the run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from argus_arena.world import World


class Interrupted(Exception):
    """Ctrl-C arrived; the state was saved."""


@contextmanager
def interruptible(world: World) -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that a step is finished before the run stops; a second one stops at once."""
    event = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if event.is_set() and world.size == 1:  # torchrun repeats the signal
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
