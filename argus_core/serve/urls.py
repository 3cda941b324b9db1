"""Fetching images from public addresses only, so that a server is no way into the network that it is in."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

from argus_core.errors import ArgusError
from argus_core.image.url import LIMIT, fetch, is_url
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings

FETCHERS = ThreadPoolExecutor(8, thread_name_prefix="argus-fetch")
"""Threads that wait for other servers, so that nobody else waits for these."""


async def fetch_public(url: str, settings: Settings) -> bytes:
    """The content at an address; raises ``Refusal`` with the reason, and for hosts that are not public."""
    if not is_url(url):
        raise Refusal("an address begins with http:// or https://", 400)
    limit = min(LIMIT, settings.max_bytes)
    call = partial(fetch, url, limit=limit, timeout=settings.timeout, open=opener().open)
    try:
        return await asyncio.get_running_loop().run_in_executor(FETCHERS, call)
    except ArgusError as error:
        raise Refusal(str(error)) from error


def opener() -> urllib.request.OpenerDirector:
    """What opens http and https addresses of public hosts, also behind redirects; it uses no proxy."""
    director = urllib.request.OpenerDirector()
    for handler in (
        _Http(),
        _Https(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also as it is written within another one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and ip not in _NAT64 and getattr(ip, "teredo", None) is None


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for any IPv4 address."""


def connect_public(address: tuple[str, int], timeout: Any = None, source: Any = None) -> socket.socket:
    """A connection to a host all of whose addresses are public; the address that was checked is connected to."""
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    places = [place for *_, place in found]
    if not all(is_public(str(place[0])) for place in places):
        raise OSError("its host is not a public one")
    return socket.create_connection((str(places[0][0]), address[1]), timeout, source)


class _PublicHttp(HTTPConnection):
    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self._create_connection = connect_public


class _PublicHttps(HTTPSConnection):
    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self._create_connection = connect_public


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_PublicHttp, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_PublicHttps, request)
