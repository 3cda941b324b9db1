"""The process of a server: connections that are slow to ask, and an end that finishes what was taken."""

from __future__ import annotations

import asyncio
import logging
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

from argus_core.errors import counted
from argus_core.serve.gate import Gate

HEAD_SECONDS = 15.0
"""How long a client may take to say what it wants; its body has a time of its own."""
MARGIN = 2.0
"""Seconds for the end itself."""
KEEP_ALIVE = 30
"""Seconds that a connection may be idle between requests."""
SWITCH_SECONDS = 0.0005
"""How long the model's thread waits between operations for Python to run it, while others read and write: a tenth of
the usual, as a pass has hundreds of operations."""


def serve(app: FastAPI, listener: socket, patience: float, started: Callable[[], None]) -> None:
    """Answer until a signal says to stop, and then finish what was taken within ``patience`` seconds.

    Requests that come meanwhile get 503. A second signal ends the process at once. ``started`` is called when the
    first request can be answered.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # clients are told what is wrong with forms
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
    FinishingServer(config, app.state.gate, patience, started).run([listener])


def _leave(code: int) -> None:
    """End the process without waiting for threads, as an exit would."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class FinishingServer(uvicorn.Server):
    """A server that a signal makes finish, and a second one makes stop at once."""

    def __init__(self, config: uvicorn.Config, gate: Gate, patience: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.gate, self.patience, self._when_started = gate, patience, started
        self._end, self._told = 0.0, False

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._when_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests; on a second signal, end."""
        if self.gate.closed:
            _leave(128 + sig)
        self.gate.closed, self._end = True, time.monotonic() + self.patience

    async def on_tick(self, counter: int) -> bool:
        """Whether to end, asked ten times a second."""
        if self.gate.closed and not self.should_exit:
            if not self._told:
                _tell_end(self.gate.active, self.patience)
            self._told = True
            self.should_exit = self.gate.active == 0 or time.monotonic() > self._end
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close connections and the app; the model may be busy for longer than there is time."""
        left = max(0.5, self._end - time.monotonic())
        try:
            await asyncio.wait_for(super().shutdown(sockets), left + MARGIN)
        except (TimeoutError, asyncio.TimeoutError):
            print("ended although the model was not done", file=sys.stderr)
            _leave(1)


def _tell_end(active: int, patience: float) -> None:
    if active:
        requests = counted(active, "request")
        print(f"finishing {requests}, for {patience:g} s at most; Ctrl-C ends at once", file=sys.stderr, flush=True)


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
