"""A server as a process: signals, ports, and connections that are slow or broken."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from argus_core import load_backbone
from bundle_help import make_argus
from serve_help import photo

SLOW = """
import sys, time
from argus_core.argus import Argus
from argus_core.serve import server
server.HEAD_SECONDS = 1.0
answer = Argus.answer_each
pause = float(sys.argv.pop(1))
def slowly(*values, **named):
    time.sleep(pause)
    return answer(*values, **named)
Argus.answer_each = slowly
from argus_core.cli import main
main()
"""
PHOTO = photo(20, 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_argus(load_backbone("tiny"), folder / "text", ("softmax",)).save(folder / "argus")
    return folder / "argus"


class Process:
    """`argus serve` on a free port, each of whose passes takes ``pause`` seconds."""

    def __init__(self, model: Path, pause: float, *options: str) -> None:
        command = [sys.executable, "-c", SLOW, str(pause), "serve", "--model", str(model), "--port", "0", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)
        assert self.process.stdout is not None
        self.told = [next(self.process.stdout) for _ in range(7)]
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\n", "".join(self.told))
        assert found
        self.port = int(found[1])

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def ask(self) -> socket.socket:
        """A connection on which an image was sent."""
        connection = self.connect()
        head = (
            f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PHOTO)}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + PHOTO)
        return connection

    def health(self) -> int:
        """The status of ``/health``."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def end(self, seconds: float = 20) -> tuple[int, str]:
        """The exit code, and what was said on standard error, once the process ends."""
        _, said = self.process.communicate(timeout=seconds)
        return self.process.returncode, said


@contextmanager
def running(model, pause=0.0, *options):
    process = Process(model, pause, *options)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        process.process.stdout.close()
        process.process.stderr.close()


def answer_on(connection):
    """Status and body of the answer on a connection that is closed after it."""
    data = b""
    with connection:
        while part := connection.recv(65536):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_was_taken_and_takes_nothing_more(model, number):
    with running(model, 1.5, "--batch", "1", "--wait", "0") as server:
        assert "curl" in server.told[5] and str(model.parent) not in "".join(server.told)
        assert "softmax (classify)" in server.told[1]
        taken = [server.ask(), server.ask()]
        time.sleep(0.5)
        server.process.send_signal(number)
        wait_until(lambda: server.health() == 503)
        status, answer = answer_on(server.ask())
        assert status == 503 and "stop" in answer["error"]
        for connection in taken:
            status, answer = answer_on(connection)
            assert status == 200 and answer["images"][0]["results"]["softmax"]["classes"]
        code, said = server.end()
        assert code == 0 and "finishing 2 requests" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_second_signal_ends_at_once(model):
    with running(model, 30) as server:
        taken = server.ask()
        time.sleep(0.5)
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: server.health() == 503)
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        code, said = server.end()
        assert code == 130 and time.monotonic() - start < 5 and "Traceback" not in said
        taken.close()


@pytest.mark.slow
def test_an_end_has_a_limit_of_time(model):
    with running(model, 30, "--timeout", "1.5") as server:
        taken = server.ask()
        time.sleep(0.3)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        status, answer = answer_on(taken)
        assert status == 504 and "1.5 s" in answer["error"]
        code, said = server.end()
        assert time.monotonic() - start < 15 and "Traceback" not in said
        assert code == 1 and "not done" in said


@pytest.mark.slow
def test_two_servers_on_one_port_and_connections_of_all_sorts(model):
    with running(model) as server:
        second = [sys.executable, "-c", "from argus_core.cli import main; main()", "serve", "--port", str(server.port)]
        ended = subprocess.run(second, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 2 and ended.stderr.count("\n") == 1
        assert f"port {server.port}" in ended.stderr and "in use" in ended.stderr

        for broken in (
            b"\x00" * 100,
            b"GET /\r\n\r\n",
            b"POST /classify HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ):
            with server.connect() as connection:
                connection.sendall(broken)
                assert connection.recv(1000).startswith(b"HTTP/1.1 400")

        silent, trickling = server.connect(), server.connect()
        trickling.sendall(b"POST /classify HTTP/1.1\r\n")
        start = time.monotonic()
        assert silent.recv(100) == b"" and time.monotonic() - start < 8  # of which the server allows 1 s
        with pytest.raises(OSError):
            while True:
                trickling.sendall(b"X: y\r\n")
                time.sleep(0.1)
                assert time.monotonic() - start < 8
        silent.close()
        trickling.close()

        for size in (10, len(PHOTO) // 2):  # a client that promises more than it sends, and leaves
            with server.connect() as connection:
                head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PHOTO)}\r\n\r\n"
                connection.sendall(head.encode() + PHOTO[:size])

        with server.connect() as connection:  # much too large: the answer comes although more is being sent
            head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
            connection.sendall(head + bytes(300_000))
            assert b" 413 " in connection.recv(1000)

        status, _ = answer_on(server.ask())
        assert status == 200
        server.process.send_signal(signal.SIGTERM)
        code, said = server.end()
        assert code == 0 and "Traceback" not in said
