"""What happens to every request: who may ask, how errors are told, headers of answers, and counting."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from contextlib import nullcontext, suppress

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from argus_core.serve.address import is_loopback
from argus_core.serve.gate import Gate
from argus_core.serve.metrics import Metrics
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings

LOG = logging.getLogger("argus.serve")
OPEN = ("/", "/health", "/openapi.json", "/docs")
OPEN_BELOW = ("/docs/", "/page/static/")
"""What anybody may read: pages, which then ask for the token, and whether the server is there."""
LINGER = 5.0
"""Seconds that an answer waits for the rest of a body, since many clients read nothing until they have sent all."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Headers of answers that do not set them themselves."""


def failure(text: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to a request that fails."""
    return JSONResponse({"error": text}, status, headers)


class Guard:
    """The application behind checks; see ``make_app``."""

    def __init__(self, app: ASGIApp, settings: Settings, gate: Gate, metrics: Metrics) -> None:
        self.app, self.settings, self.gate, self.metrics = app, settings, gate, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; anything else than HTTP goes to the application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange, start = Exchange(scope, receive, send, self.settings.max_bytes), time.perf_counter()
        try:
            await self._answer(scope, exchange)
        finally:
            path = scope["path"] if scope["path"] in OPEN else "other"
            route = str(getattr(scope.get("route"), "path", path))
            self.metrics.answered(route, exchange.status, time.perf_counter() - start)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        try:
            check_caller(scope, self.settings.token)
            with self.gate.enter() if scope["method"] == "POST" else nullcontext():
                await self.app(scope, exchange.receive, exchange.send)
            return
        except Refusal as refusal:
            answer = failure(str(refusal), refusal.status, dict(refusal.headers))
        except ClientDisconnect:
            return
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            answer = failure("the server failed; its log says why", 500)
        if not exchange.started:
            await answer(scope, exchange.receive, exchange.send)


class Exchange:
    """A request and its answer: whether the body was read to its end, and the headers that every answer has."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        headers = Headers(scope=scope)
        self.status, self.started = 499, False
        self._receive, self._send, self._most = receive, send, most
        self._more = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._more = self._more and message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer; if the body was not read to its end, the connection is closed after it."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._more:
                headers["Connection"] = "close"
        elif self._more and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._drain(), LINGER)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        """Read what is left of the body, as far as bodies may go, and forget it."""
        size = 0
        while self._more and size <= self._most:
            size += len((await self.receive()).get("body", b""))


def check_caller(scope: Scope, token: str | None) -> None:
    """Raise ``Refusal`` for requests without the token, or, if there is none, for those of other sites' pages."""
    headers, path = Headers(scope=scope), scope["path"]
    if token is None:
        _check_local(headers, scope["method"])
    elif not (scope["method"] in ("GET", "HEAD") and (path in OPEN or path.startswith(OPEN_BELOW))):
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise Refusal(
                "this server wants its token, as in the header `Authorization: Bearer TOKEN`",
                401,
                {"WWW-Authenticate": "Bearer"},
            )


def _check_local(headers: Headers, method: str) -> None:
    """Raise ``Refusal`` for what a browser sends on behalf of another site, by another name or from its page."""
    host = headers.get("host", "")
    if not is_loopback(_name(host)):
        asked = _name(host)[:100]
        raise Refusal(f"this server answers to localhost, not to {asked!r}; to serve others start it with --token", 403)
    origin = headers.get("origin")
    if method not in ("GET", "HEAD") and origin is not None and origin.partition("://")[2] != host:
        raise Refusal("pages of other sites may not ask this server", 403)


def _name(host: str) -> str:
    """The host without its port, and an IPv6 address without its brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
