"""A real S3 server, a process of its own, and a proxy before it that throttles and cuts connections."""

from __future__ import annotations

import http.client
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
KEPT = {"host", "connection", "transfer-encoding", "date", "server"}


def environment(port: int) -> dict[str, str]:
    """What makes clients use the server at a port of this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[int]:
    """The port of a server of moto's, which is stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


class Faults:
    """What a proxy does wrong: shares of requests that are answered SlowDown, or whose answer or request is cut.

    ``half_written`` is told the path of each object of which half has come, and may say that the rest will not.
    """

    def __init__(self, seed: int = 0, slow: float = 0.0, cut: float = 0.0) -> None:
        self.random, self.slow, self.cut = random.Random(seed), slow, cut
        self.slowed = self.cuts = self.passed = 0
        self.half_written: Callable[[str], bool] = lambda path: False
        self.lock = threading.Lock()

    def draw(self) -> str:
        """What happens to the next request."""
        with self.lock:
            value = self.random.random()
            if value < self.slow:
                self.slowed += 1
                return "slow"
            if value < self.slow + self.cut:
                self.cuts += 1
                return "cut"
            self.passed += 1
            return "pass"


@contextmanager
def faulty_proxy(server: int, faults: Faults) -> Iterator[int]:
    """The port of a proxy before the server at a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.close_connection = True
            body = self.rfile.read(length // 2)
            if self.command == "PUT" and faults.half_written(self.path):
                return None
            body += self.rfile.read(length - len(body))
            fate = faults.draw()
            if fate == "slow":
                return self.answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            if fate == "cut" and body:  # before the server sees it
                return None
            client = http.client.HTTPConnection("127.0.0.1", server)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in {"connection", "expect"}}
            client.request(self.command, self.path, body, headers)
            reply = client.getresponse()
            content = reply.read()
            client.close()
            self.answer(reply.status, dict(reply.getheaders()), content, cut=fate == "cut")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

        def answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            for key, value in headers.items():
                if key.lower() not in KEPT | {"content-length"}:
                    self.send_header(key, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy.server_address[1]
    finally:
        proxy.shutdown()
        proxy.server_close()


def bucket(port: int, name: str) -> None:
    """Make a bucket."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("PUT", f"/{name}", headers={"Authorization": "AWS test:test"})
    assert client.getresponse().status == 200
    client.close()
