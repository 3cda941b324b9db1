"""How much a server has taken: requests, and pixels of the images that they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from argus_core.serve.refusal import Busy, Refusal, Stopping
from argus_core.serve.settings import MEGA


class Gate:
    """At most ``most`` requests at a time, which together hold at most ``pixels`` of decoded images.

    One request more raises ``Busy``; one whose images do not fit yet waits. When the gate is ``closed``, requests that
    are in stay, and others raise ``Stopping``.
    """

    def __init__(self, most: int, pixels: int) -> None:
        self.most, self.pixels = most, pixels
        self.active, self.closed = 0, False
        self._held, self._room = 0, asyncio.Event()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """A context that a request is in until it is answered."""
        if self.closed:
            raise Stopping
        if self.active >= self.most:
            raise Busy
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """A context that holds so many pixels; it is entered when there is room."""
        if pixels > self.pixels:
            most = self.pixels / MEGA
            raise Refusal(f"the images of a request may have {most:g} megapixels together; send fewer at a time", 413)
        while self._held + pixels > self.pixels:
            self._room.clear()
            await self._room.wait()
        self._held += pixels
        try:
            yield
        finally:
            self._held -= pixels
            self._room.set()
