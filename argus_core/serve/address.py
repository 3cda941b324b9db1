"""Where a server listens, and who may then ask it; checked before anything is loaded."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Any

from argus_core.errors import ArgusError

LEAST = 16
"""The fewest characters of a token."""
_TOKEN = re.compile(r"[!-~]+")
BACKLOG = 1024


def check_caller_rules(host: str, token: str | None) -> None:
    """Raise ArgusError for a server that others could reach without a token, or with one that is easily guessed."""
    if token is None:
        if not _stays_here(host):
            raise ArgusError(
                f"--host {host} lets others reach this server, so they need a token: set ARGUS_TOKEN, for example to "
                'the output of: python -c "import secrets; print(secrets.token_urlsafe())"'
            )
    elif len(token) < LEAST or not _TOKEN.fullmatch(token):
        raise ArgusError(f"a token has {LEAST} or more visible ASCII characters, without spaces; this one has not")


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port if ``port`` is 0; raises ArgusError if that is impossible."""
    try:
        family, *_, place = _places(host, port)[0]
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0].lower()
        raise ArgusError(f"cannot listen on {host} port {port}: {reason}; choose another --port or --host") from error


def address(listener: socket.socket, host: str) -> str:
    """The web address of a listening socket, as one would type it."""
    name = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def is_loopback(host: str) -> bool:
    """Whether a name or an address is that of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _stays_here(host: str) -> bool:
    try:
        return all(is_loopback(str(place[0])) for *_, place in _places(host, 0))
    except OSError:
        return False


def _places(host: str, port: int) -> list[tuple[Any, ...]]:
    """What the system knows of a host: family, type, protocol, name, and address."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
