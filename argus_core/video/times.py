"""Times of frames and of sound as a player counts them, whatever time stamps a source has."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

BACK = Fraction(1)
"""Seconds that time stamps may go back by disorder; what goes back further has started again."""
AHEAD, FAR_AHEAD = Fraction(10), Fraction(30 * 3600)
"""Seconds that time stamps may go ahead, where a format allows them to start again, and elsewhere; as in FFmpeg."""
RESTARTS = 0x0200
"""FFmpeg's flag of formats whose time stamps may start again."""


@dataclass
class Clock:
    """Turns time stamps in seconds, one after the other, into times from the start that always rise.

    ``start`` is the time stamp of the start, by default the first, ``step`` the seconds from one to the next where
    nothing is stated, ``ahead`` how far they may go ahead. Where time stamps start again, times go on.
    """

    start: Fraction | None
    step: Fraction
    ahead: Fraction = FAR_AHEAD
    tick: Fraction = Fraction(1, 1000)
    last: Fraction | None = None

    def read(self, stated: Fraction | None) -> Fraction:
        """The time of a time stamp; of None, a step after the last."""
        if self.start is None:
            self.start = stated or Fraction(0)
        if self.last is None:
            self.last = Fraction(0) if stated is None else stated - self.start
            return self.last
        following = self.last + self.step
        time = following if stated is None else stated - self.start
        if not -BACK <= time - self.last <= self.ahead:
            self.start += time - following
            time = following
        self.last = max(time, self.last + self.tick)
        return self.last


def ahead_of(container: Any) -> Fraction:
    """How far the time stamps of a container may go ahead before they count as started again."""
    return AHEAD if container.format.flags & RESTARTS else FAR_AHEAD


def seconds(pts: int | None, time_base: Fraction | None) -> Fraction | None:
    """A time stamp in seconds."""
    return None if pts is None or not time_base else pts * time_base
