"""Decoded annotations kept in memory, because every epoch asks for them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

LIMIT = 1 << 29
"""Bytes kept per layer."""

Array = npt.NDArray[np.generic]


class Remembered:
    """Arrays by number, read with ``read`` when missing; the oldest are forgotten beyond ``limit`` bytes.

    What is handed out is read-only, as the next caller gets the same array.
    """

    def __init__(self, read: Callable[[int], Array], limit: int = LIMIT) -> None:
        self._read, self._limit, self._bytes = read, limit, 0
        self._held: OrderedDict[int, Array] = OrderedDict()

    def __call__(self, number: int) -> Array:
        """The array ``number``."""
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        values = self._read(number)
        values.flags.writeable = False
        self._held[number] = values
        self._bytes += values.nbytes
        while self._bytes > self._limit and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return values
