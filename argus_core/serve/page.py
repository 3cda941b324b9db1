"""The page at `/`: its files, and what it asks about photographs whose tokens are kept."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from argus_core.argus import Argus
from argus_core.draw.palette import Pixels
from argus_core.draw.scale import ramp
from argus_core.serve.engine import Engine
from argus_core.serve.images import WORKERS, decode
from argus_core.serve.kept import Kept
from argus_core.serve.look import LEAST_SCORE, Look, look
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings
from argus_core.serve.similar import principal, similar

T = TypeVar("T")
FILES = Path(__file__).with_suffix("")
PUBLIC = ("/", "/page/static/")
"""What is given without a token, as the page asks for it: the page and its files."""
GUARD = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""No script, style, picture or request of another host, nor any inside the page's own text."""


class About(BaseModel):
    """A question about one or two photographs, by their ids."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    ids: Annotated[list[str], Field(min_length=1, max_length=2)]


class Point(About):
    """What is similar to ``point``, x and y in pixels of the first photograph."""

    point: tuple[float, float]


class Tokens(About):
    """The principal components of tokens of ``layer``."""

    layer: int


def page_router(engine: Engine, settings: Settings, kept: Kept[Look] | None = None) -> APIRouter:
    """The page and what it asks; images are looked at once, and ``kept`` within bounds."""
    looks: Kept[Look] = Kept() if kept is None else kept
    router = APIRouter(include_in_schema=False)
    names = {path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file()}

    def find(ids: Sequence[str]) -> list[Look]:
        found = [looks.get(key) for key in ids]
        if None in found:
            raise Refusal("this photograph is not kept any more; send it again", 404)
        return [one for one in found if one is not None]

    @router.get("/")
    async def page() -> FileResponse:
        return FileResponse(FILES / "index.html", headers=GUARD)

    @router.get("/page/static/{name:path}")
    async def static(name: str) -> FileResponse:
        if name not in names:
            raise Refusal("the page has no such file", 404)
        return FileResponse(FILES / name, headers=GUARD)

    @router.get("/page/model")
    async def model() -> dict[str, Any]:
        return {
            "name": settings.model,
            "heads": _heads(engine.argus),
            "ramp": ramp().tobytes().hex(),
            "leastScore": LEAST_SCORE,
        }

    @router.post("/page/images")
    async def send(request: Request) -> dict[str, Any]:
        image = await decode(await request.body(), settings)
        key = await _apart(lambda: sha256(repr(image.shape).encode() + image.tobytes()).hexdigest())
        seen = looks.get(key)
        if seen is None:
            seen = await engine.run(lambda argus: look(argus, image))
            looks.put(key, seen)
        return {"id": key, **seen.answer()}

    @router.post("/page/shown")
    async def shown(request: Request) -> Response:
        image = await decode(await request.body(), settings)
        return Response(await _apart(lambda: _jpeg(image)), media_type="image/jpeg")

    @router.get("/page/images/{key}/layers/{head}")
    async def planes(key: str, head: str) -> Response:
        [seen] = find([key])
        if head not in seen.layers:
            raise Refusal("no head of this name answered", 422)
        return _packed(seen.layers[head].planes, "application/octet-stream")

    @router.get("/page/images/{key}/results")
    async def results(key: str) -> Response:
        return _packed(find([key])[0].results, "application/json")

    @router.post("/page/components")
    async def parts(asked: Tokens) -> list[dict[str, Any]]:
        found = find(asked.ids)
        return await _apart(lambda: principal(found, asked.layer))

    @router.post("/page/similar")
    async def heat(asked: Point) -> list[dict[str, Any]]:
        found = find(asked.ids)
        return await _apart(lambda: similar(found, asked.point))

    return router


async def _apart(call: Callable[[], T]) -> T:
    """What a call returns, made beside the thread of the model."""
    return await asyncio.get_running_loop().run_in_executor(WORKERS, call)


def _heads(argus: Argus) -> list[dict[str, Any]]:
    """Name, task and number of classes (None without any) of each head."""
    tasks = {name: argus.head(name).task for name in argus.heads}
    classes: dict[str, Sequence[str] | None] = {name: getattr(task, "classes", None) for name, task in tasks.items()}
    return [
        {"name": name, "task": task.name, "classes": None if (names := classes[name]) is None else len(names)}
        for name, task in tasks.items()
    ]


def _jpeg(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, format="JPEG", quality=95, subsampling=0)
    return file.getvalue()


def _packed(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Encoding": "gzip"})
