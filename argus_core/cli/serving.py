"""A model, opened and served."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from pathlib import Path
from socket import socket

from PIL import Image

from argus_core.argus import Argus
from argus_core.cli.load import open_model
from argus_core.cli.model_work import keep
from argus_core.cli.requests import ServeRequest, tiling
from argus_core.registry.places import DEFAULT_MODEL
from argus_core.serve.address import address
from argus_core.serve.app import make_app
from argus_core.serve.server import serve
from argus_core.serve.settings import MEGA, Settings


def serve_model(request: ServeRequest, listener: socket) -> None:
    """Open the model of a request, and answer on a socket until a signal comes."""
    argus = open_model(request.model, request.device, request.canvas, request.require_license)
    keep(argus, request.tasks)
    argus.tiling = tiling(request.tiles, request.overlap)
    settings = Settings(
        model=_name(request.model),
        token=request.token,
        urls=request.urls,
        batch=request.batch,
        wait=request.wait / 1000,
        queue=request.queue,
        timeout=request.timeout,
        max_bytes=round(request.max_upload_mb * MEGA),
        max_pixels=round(request.max_megapixels * MEGA),
        max_images=request.max_images,
        taught=request.taught,
    )
    Image.MAX_IMAGE_PIXELS = settings.max_pixels  # larger ones are refused before they are decoded
    app = make_app(argus, settings)
    serve(app, listener, settings.timeout, partial(_tell, argus, request, address(listener, request.host)))


def _tell(argus: Argus, request: ServeRequest, base: str) -> None:
    """Print what is served, where, and what to type next."""
    heads = ", ".join(f"{name} ({argus.head(name).task.name})" for name in argus.heads)
    token = "" if request.token is None else ' -H "Authorization: Bearer $ARGUS_TOKEN"'
    path = "perceive" if any(argus.head(name).task.name != "correspond" for name in argus.heads) else "embed"
    lines = {
        f"argus {version('argus-perception')}": f"{_name(request.model)} on {argus.backbone.device}",
        "heads": heads,
        "page": f"{base}/",
        "API": f"{base}/docs",
        "metrics": f"{base}/metrics",
        "try": f"curl -F image=@photo.jpg{token} {base}/{path}",
        "stop": "Ctrl-C",
    }
    print("\n".join(f"{name:<12} {text}" for name, text in lines.items()), flush=True)


def _name(model: str | None) -> str:
    """What clients know a model by: of a path only the last part, as the rest is of this machine."""
    if model is None:
        return DEFAULT_MODEL
    path = Path(model).expanduser()
    return path.resolve().name if path.exists() else model
