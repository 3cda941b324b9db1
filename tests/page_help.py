"""A small model for the page, a server of it on a free port, and a browser."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
import uvicorn
from PIL import Image

from argus_core import Argus, Canvas, Classify, Correspond, Depth, Detect, Segment, build_head, load_backbone
from argus_core.serve.app import make_app
from argus_core.serve.settings import Settings

HOSTILE = "</script><script>hacked=1</script><img src=x onerror='hacked=1'>&amp;"
HEADS = {
    "rooms": ("segment.linear", Segment(classes=("wall", HOSTILE, "floor")), {}),
    "metres": ("depth.linear", Depth(), {"bins": 16}),
    "things": ("detect.fcos", Detect(classes=("ball", HOSTILE)), {"width": 16, "depth": 1}),
    "scene": ("classify.linear", Classify(classes=("indoors", HOSTILE, "garden")), {}),
    "matches": ("correspond.match", Correspond(), {}),
}
CANVAS = Canvas(160)
EXAMPLES = Path(make_app.__code__.co_filename).parent / "page" / "examples"


def example(name: str) -> np.ndarray:
    """The pixels of an example that the page offers."""
    return np.asarray(Image.open(EXAMPLES / f"{name}.jpg"))


def png(pixels: np.ndarray, **options) -> bytes:
    """Pixels as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **{"format": "PNG", **options})
    return file.getvalue()


@cache
def small_argus(*names: str, canvas: Canvas = CANVAS) -> Argus:
    """Heads of these names, by default all, with random weights that make them answer all sorts of things."""
    backbone, generator = load_backbone("tiny"), torch.Generator().manual_seed(2)
    heads = {}
    for name in names or HEADS:
        kind, task, options = HEADS[name]
        heads[name] = build_head(kind, backbone.info, task, options)
        with torch.no_grad():
            for weight in (weight for weight in heads[name].parameters() if weight.ndim > 1):
                weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / weight[0].numel()) ** 0.5)
    return Argus(backbone, heads, canvas)


@contextmanager
def served(argus: Argus, **settings):
    """The address of a server of a model."""
    app = make_app(argus, Settings(model="small", **settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(20)
