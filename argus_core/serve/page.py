"""The page at `/`: its files, and what it asks about photographs whose tokens are kept."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from PIL import Image

from argus_core.argus import Argus
from argus_core.draw.palette import Pixels
from argus_core.draw.scale import ramp
from argus_core.serve.asked import Spot, Tokens, asked
from argus_core.serve.body import Upload, read_body
from argus_core.serve.engine import Engine
from argus_core.serve.images import apart
from argus_core.serve.kept import Kept
from argus_core.serve.look import LEAST_SCORE, Look, look, results_of
from argus_core.serve.opened import opened, whole
from argus_core.serve.refusal import Refusal
from argus_core.serve.routes import unless_gone
from argus_core.serve.settings import Settings
from argus_core.serve.similar import principal, similar
from argus_core.serve.teaching import Teaching, teaching_router

T = TypeVar("T")
FILES = Path(__file__).with_suffix("")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
"""Of the page's files: nothing from another host, and no script or style within the page's own text."""


class Page:
    """Answers to what the page asks; images are looked at once, and ``kept`` within its bounds."""

    def __init__(self, engine: Engine, settings: Settings, kept: Kept[Look], teaching: Teaching) -> None:
        self.engine, self.settings, self.kept, self.teaching = engine, settings, kept, teaching

    async def model(self) -> dict[str, Any]:
        """What the model answers, the colours of numbers, and what can be taught."""
        heads = _heads(self.engine.argus)
        colors = ramp().tobytes().hex()
        shown = {"heads": heads, "ramp": colors, "leastScore": LEAST_SCORE}
        return {"name": self.settings.model, **shown, "teach": self.teaching.offered()}

    async def send(self, request: Request) -> dict[str, Any]:
        """An image as the body: its id, and the answers about it without their maps; computed unless they are kept."""
        body = await read_body(request, self.settings)
        key = sha256(body).hexdigest()
        seen = self.kept.get(key)
        if seen is None:
            seen = await self._with_image(request, body, lambda image: self.engine.run(partial(self._look, key, image)))
        return {"id": key, **seen.answer()}

    async def shown(self, request: Request) -> Response:
        """An image as the body: the same, upright, as JPEG."""
        body = await read_body(request, self.settings)
        return Response(await self._with_image(request, body, _jpeg), media_type="image/jpeg")

    async def layer(self, key: str, head: str) -> Response:
        """The planes of numbers of a head's layer."""
        [seen] = self.kept.all([key])
        if head not in seen.layers:
            raise Refusal("no head of this name answered")
        return _packed(seen.layers[head].planes, "application/octet-stream")

    async def results(self, key: str, request: Request) -> Response:
        """The answers of all heads, as ``/perceive`` gives them."""
        [seen] = self.kept.all([key])
        work = self.engine.run(lambda argus: results_of(argus, seen))
        return _packed(await unless_gone(request, work, self.settings.timeout), "application/json")

    async def components(self, request: Request) -> list[dict[str, Any]]:
        """The principal components of some photographs, see ``principal``."""
        question = await asked(request, Tokens, self.settings)
        return await apart(principal, self.kept.all(question.ids), question.layer)

    async def similar(self, request: Request) -> list[dict[str, Any]]:
        """What is similar to a point, see ``similar``."""
        question = await asked(request, Spot, self.settings)
        return await apart(similar, self.kept.all(question.ids), question.point)

    def _look(self, key: str, image: Pixels, argus: Argus) -> Look:
        """What is known of an image; kept even if nobody waits for it any more, so that asking again is answered."""
        seen = self.kept.get(key)
        if seen is None:
            seen = look(argus, image, self.teaching.taught)
            self.kept.put(key, seen)
        return seen

    async def _with_image(self, request: Request, body: bytes, use: Callable[[Pixels], Awaitable[T]]) -> T:
        """What ``use`` makes of the image in a body, within the limits of the server."""

        async def work() -> T:
            async with opened([Upload(None, body)], request.app.state.gate, self.settings) as images:
                return await use(whole(images)[0])

        return await unless_gone(request, work(), self.settings.timeout)


def page_router(engine: Engine, settings: Settings, kept: Kept[Look] | None = None) -> APIRouter:
    """The page and what it asks; ``kept`` are photographs, by default as many as ``Kept`` holds."""
    router = APIRouter(include_in_schema=False)
    _add_files(router)
    kept = Kept() if kept is None else kept
    teaching = Teaching(engine, settings, kept)
    router.include_router(teaching_router(teaching))
    page = Page(engine, settings, kept, teaching)
    router.add_api_route("/page/model", page.model)
    router.add_api_route("/page/images", page.send, methods=["POST"])
    router.add_api_route("/page/shown", page.shown, methods=["POST"])
    router.add_api_route("/page/images/{key}/layers/{head}", page.layer)
    router.add_api_route("/page/images/{key}/results", page.results)
    router.add_api_route("/page/components", page.components, methods=["POST"])
    router.add_api_route("/page/similar", page.similar, methods=["POST"])
    return router


def _add_files(router: APIRouter) -> None:
    names = {path.relative_to(FILES).as_posix() for path in FILES.rglob("*") if path.is_file()}

    @router.get("/")
    async def page() -> FileResponse:
        return FileResponse(FILES / "index.html", headers=HEADERS)

    @router.get("/page/static/{name:path}")
    async def static(name: str) -> FileResponse:
        if name not in names:
            raise Refusal("the page has no such file", 404)
        return FileResponse(FILES / name, headers=HEADERS)


def _heads(argus: Argus) -> list[dict[str, Any]]:
    """Name, task and number of classes (None without any) of each head."""
    tasks = {name: argus.head(name).task for name in argus.heads}
    classes: dict[str, Sequence[str] | None] = {name: getattr(task, "classes", None) for name, task in tasks.items()}
    return [
        {"name": name, "task": task.name, "classes": None if (names := classes[name]) is None else len(names)}
        for name, task in tasks.items()
    ]


async def _jpeg(image: Pixels) -> bytes:
    file = io.BytesIO()
    await apart(Image.fromarray(image).save, file, format="JPEG", quality=95, subsampling=0)
    return file.getvalue()


def _packed(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Encoding": "gzip"})
