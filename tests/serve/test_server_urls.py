"""Images by address: only of public hosts, however an address hides where it leads."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from argus_core import load_backbone
from argus_core.serve import urls
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings
from argus_core.serve.urls import connect_public, fetch_public, is_public
from bundle_help import make_argus
from serve_help import client_of, photo

PHOTO = photo(20, 30)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "2001:0:7f00:1::",
    ],
)
def test_what_is_not_of_the_internet_is_known(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_of_the_internet_is_known(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://localhost/a.png",
        "http://[::1]/a.png",
        "http://2130706433/a.png",
        "http://0x7f.1/a.png",
        "http://127.1/a.png",
        "http://user:word@127.0.0.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.png",
        "gopher://127.0.0.1/",
        "//127.0.0.1/a.png",
        "http://",
        "http:///a.png",
        "http://[::1/a.png",
        "http://a b/",
        "http://a\r\nX: y/",
        "",
    ],
)
def test_addresses_of_this_machine_are_refused(url):
    with pytest.raises(Refusal):
        asyncio.run(fetch_public(url, Settings(urls=True)))


class Site(BaseHTTPRequestHandler):
    """A web site with an image, redirects, and something too large."""

    def do_GET(self):
        """Answer by path."""
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
            return
        self.send_response(200 if self.path != "/missing" else 404)
        self.end_headers()
        self.wfile.write(PHOTO if self.path == "/photo.png" else bytes(50_000))

    def log_message(self, *values):
        """Say nothing."""


@contextmanager
def site():
    """The port of a site that runs meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def internet(monkeypatch):
    """A port on which `public.example` answers, whose public address leads to this machine; `inner.example` is not."""
    connected = []

    def resolve(host, port, *rest, **named):
        address = {"public.example": "93.184.216.34"}.get(host, "10.0.0.5")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with site() as port:
        connect = socket.create_connection
        monkeypatch.setattr(urls.socket, "getaddrinfo", resolve)

        def lead(place, *rest):
            connected.append(place[0])
            monkeypatch.undo()
            return connect(("127.0.0.1", port), *rest)

        monkeypatch.setattr(urls.socket, "create_connection", lead)
        yield port, connected


def test_a_public_image_is_fetched_from_the_address_that_was_checked(internet):
    port, connected = internet
    assert asyncio.run(fetch_public(f"http://public.example:{port}/photo.png", Settings(urls=True))) == PHOTO
    assert connected == ["93.184.216.34"]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{}/photo.png", "http://localhost:{}/photo.png", "file:///etc/hosts"]
)
def test_a_redirect_to_this_machine_is_refused(internet, target):
    port, connected = internet
    url = f"http://public.example:{port}/to?{target.format(port)}"
    with pytest.raises(Refusal) as caught:
        asyncio.run(fetch_public(url, Settings(urls=True)))
    assert connected == ["93.184.216.34"] and "root:" not in str(caught.value)


def test_what_is_too_large_or_missing_is_refused(internet):
    port, _ = internet
    with pytest.raises(Refusal, match="larger"):
        asyncio.run(fetch_public(f"http://public.example:{port}/large", Settings(urls=True, max_bytes=20_000)))


def test_a_host_of_the_inner_network_is_never_connected_to(internet):
    port, connected = internet
    with pytest.raises(OSError, match="not a public one"):
        connect_public(("inner.example", port), 1)
    assert connected == []


def test_a_name_with_a_public_and_a_private_address_is_refused(monkeypatch):
    places = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(urls.socket, "getaddrinfo", lambda *values, **named: places)
    with pytest.raises(OSError, match="not a public one"):
        connect_public(("both.example", 80), 1)


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with site() as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(Refusal):
            asyncio.run(fetch_public("http://10.0.0.1/photo.png", Settings(urls=True)))


def test_a_server_fetches_only_if_it_was_told_to(tmp_path, monkeypatch):
    argus = make_argus(load_backbone("tiny"), tmp_path, ("softmax",))
    with client_of(argus) as client:
        assert client.post("/classify", json={"url": "http://public.example/a.png"}).status_code == 403

    async def fetched(url, settings):
        return PHOTO

    monkeypatch.setattr("argus_core.serve.opened.fetch_public", fetched)
    with client_of(argus, urls=True) as client:
        answer = client.post("/classify", json={"url": "http://public.example/a.png"}).json()["images"][0]
        assert answer["file_name"] == "http://public.example/a.png" and answer["size"] == [20, 30]
