"""The process of a server: connections that are slow to ask, and an end that finishes what was taken."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from argus_core.serve.gate import Gate

HEAD_SECONDS = 15.0
"""How long a client may take to say what it wants; its body has a time of its own."""
KEEP_ALIVE = 30
"""Seconds that a connection may be idle between requests."""


def serve(app: FastAPI, listener: socket, patience: float, started: Callable[[], None]) -> None:
    """Answer until a signal says to stop, and then finish what was taken within ``patience`` seconds.

    Requests that come meanwhile get 503. A second signal ends the process at once. ``started`` is called when the
    first request can be answered.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    server = FinishingServer(config, app.state.gate, patience, started)
    server.run([listener])
    if server.force_exit or server.late:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(130 if server.force_exit else 1)  # an exit would wait for threads


class FinishingServer(uvicorn.Server):
    """A server that a signal makes finish, and a second one makes stop at once."""

    def __init__(self, config: uvicorn.Config, gate: Gate, patience: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.gate, self.patience, self._when_started = gate, patience, started
        self.late = False
        self._end: float | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._when_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests; on a second signal, end."""
        self.should_exit = self.force_exit = self.gate.closed
        self.gate.closed = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to end, asked ten times a second."""
        if self.gate.closed and not self.should_exit:
            if self._end is None:
                self._end = time.monotonic() + self.patience
                _tell_end(self.gate.active, self.patience)
            self.late = self.gate.active > 0 and time.monotonic() > self._end
            self.should_exit = self.gate.active == 0 or self.late
        return await super().on_tick(counter)


def _tell_end(active: int, patience: float) -> None:
    if active:
        print(
            f"finishing {active} requests, for {patience:g} s at most; Ctrl-C ends at once", file=sys.stderr, flush=True
        )


class PatientProtocol(H11Protocol):
    """A connection that is closed if the head of a request does not come in ``HEAD_SECONDS``."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that begin a request do not make the time for it longer."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._is_idle():
            self._stop_watching()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._close_if_idle)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _is_idle(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()
