"""The time that each part of an answer takes."""

from __future__ import annotations

import time

import torch


class Clock:
    """Milliseconds between laps, by name; waits for a GPU to finish its work."""

    def __init__(self, device: torch.device, laps: dict[str, float]) -> None:
        self.device, self.laps, self.start = device, laps, time.perf_counter()

    def skip(self) -> None:
        """Begin a new lap, and leave out what was done since the last one."""
        self.start = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to ``name``."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + (now - self.start) * 1e3
        self.start = now
