"""Images at web addresses, from a server on this machine: fetched, refused, or told in a sentence."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from argus_core import Argus, Canvas, Classify, build_head, load_backbone
from argus_core.cli.commands import app
from argus_core.cli.inputs import find_sources, frames
from argus_core.errors import ArgusError
from argus_core.image import read_image
from argus_core.image import url as image_url

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
ASKED: list[dict[str, str]] = []


def png():
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, "PNG")
    return data.getvalue()


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        ASKED.append(dict(self.headers))
        kind = {"/clip": "video/mp4", "/page": "text/html"}.get(self.path, "image/png")
        body = {"/page": b"<html>", "/clip": b"0", "/large.png": png() + b"0" * 5000}.get(self.path, png())
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/a.png")
            self.end_headers()
            return
        if self.path == "/none.png":
            self.send_error(404)
            return
        if self.path == "/silent.png":
            time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + 7 * (self.path == "/cut.png")))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asks may hang up
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("ARGUS_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", ["/a.png", "/moved.png", "/photo", "/b.jpg?width=4"])
def test_an_address_is_an_image_like_any_other(server, path):
    assert np.array_equal(read_image(server + path), PIXELS)
    assert ASKED[-1]["User-Agent"].startswith("argus-perception/")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none.png", r"none\.png: cannot be fetched \(the server answers 404 Not Found\)"),
        ("/page", r"page: cannot be read as an image \(its content is of no format"),
        ("/large.png", r"large\.png: cannot be fetched \(it is larger than 0 MiB\)"),
        ("/cut.png", r"cut\.png: cannot be fetched \(the connection broke"),
        ("/silent.png", r"silent\.png: cannot be fetched \(no answer in 0 s\)"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(server, monkeypatch, path, message):
    monkeypatch.setattr(image_url, "LIMIT", 4000)
    monkeypatch.setattr(image_url, "SILENCE", 0.3)
    with pytest.raises(ArgusError, match=message) as error:
        read_image(server + path)
    assert "\n" not in str(error.value)


def test_offline_refuses_in_words_and_asks_nothing(server, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    asked = len(ASKED)
    for path in ("/a.png", "/photo"):
        (source,) = find_sources([server + path], image_url.__file__)
        (frame,) = frames(source, 1, 0)
        assert "ARGUS_OFFLINE forbids it" in frame.fault
    assert len(ASKED) == asked


def test_what_an_address_is_of_decides_how_it_is_read(server, tmp_path):
    inputs = [f"{server}/{end}" for end in ("a.png", "photo", "clip", "b.mp4", "live.m3u8")] + ["rtsp://camera/1"]
    found = find_sources(inputs, tmp_path)
    assert [one.moving for one in found] == [False, False, True, True, True, True]
    assert [one.name for one in found] == ["a", "photo", "clip", "b", "live", "1"]


def test_argus_perceives_addresses(server, tmp_path):
    backbone = load_backbone("tiny")
    argus = Argus(backbone, {"kinds": build_head("classify.linear", backbone.info, Classify.small())}, Canvas(64))
    argus.save(tmp_path / "model")
    assert argus.classify(f"{server}/a.png").entries == argus.classify(PIXELS).entries
    arguments = ("perceive", f"{server}/a.png", f"{server}/none.png", "--model", "model", "--out", "out")
    done = CliRunner().invoke(app, [str(tmp_path / one) if one in ("model", "out") else one for one in arguments])
    assert done.exit_code == 1 and "404 Not Found" in done.stderr
    (line,) = (tmp_path / "out/results.jsonl").read_text().splitlines()
    assert json.loads(line)["file_name"] == f"{server}/a.png"
