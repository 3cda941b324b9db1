"""Refusals: requests that are not answered, with the status and the headers of the answer that says so."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from argus_core.errors import ArgusError

BUSY_SECONDS = 1
"""When a client that was turned away may try again."""


class Refusal(ArgusError):
    """A request that gets an error instead of an answer; ``status`` is that of HTTP, 422 by default.

    The text goes to the client, so it names nothing of the machine.
    """

    status = 422
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, text: str, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = self.status if status is None else status
        self.headers = self.headers if headers is None else headers


class Busy(Refusal):
    """All places in the queue are taken."""

    status = 503
    headers = MappingProxyType({"Retry-After": str(BUSY_SECONDS)})

    def __init__(self, text: str = "too many requests are waiting; try again later") -> None:
        super().__init__(text)


class Stopping(Busy):
    """The server finishes what it has taken, and takes nothing more."""

    def __init__(self) -> None:
        super().__init__("the server is about to stop")
