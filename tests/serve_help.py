"""Servers for tests: applications of a small model, images as files, and a model that only counts."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from argus_core import Argus
from argus_core.errors import ArgusError
from argus_core.serve.app import make_app
from argus_core.serve.settings import Settings

HERE = "http://127.0.0.1"


@contextmanager
def client_of(argus: Argus, **settings) -> Iterator[TestClient]:
    """A client of a server that runs meanwhile."""
    with TestClient(make_app(argus, Settings(model="tiny", **settings)), base_url=HERE) as client:
        yield client


def photo(height: int, width: int, seed: int = 0, kind: str = "PNG") -> bytes:
    """The file of an image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of 8x8 px whose header says otherwise."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


class Counting:
    """A stand-in for a model: the answer to an image is the image itself, and ``"bad"`` cannot be answered."""

    tiling = None

    def __init__(self, seconds: float = 0.0) -> None:
        self.batch, self.seconds = 8, seconds
        self.passes: list[list[object]] = []
        self.threads: set[int] = set()
        self.busy = threading.Lock()

    def answer_each(self, images, questions):
        """One pass over all images."""
        with self._alone():
            self.passes.append(list(images))
            if "bad" in images:
                raise ArgusError("the image is bad")
            return [{name: image for name in question.names} for image, question in zip(images, questions, strict=True)]

    def call(self, value):
        """Something else that takes the model."""
        with self._alone():
            return value

    @contextmanager
    def _alone(self):
        assert self.busy.acquire(blocking=False), "two threads use the model at once"
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        try:
            yield
        finally:
            self.busy.release()
