"""The web application around a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from argus_core.argus import Argus
from argus_core.errors import ArgusError
from argus_core.serve.api import api_router
from argus_core.serve.documentation import documentation_router
from argus_core.serve.engine import Engine
from argus_core.serve.gate import Gate
from argus_core.serve.guard import Guard, failure
from argus_core.serve.metrics import Metrics
from argus_core.serve.page import page_router
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings
from argus_core.serve.status import status_router

LARGEST = 4
"""How many images of the largest size may be held at a time; with masks and depth a pixel takes about 30 bytes."""


def make_app(argus: Argus, settings: Settings) -> FastAPI:
    """Routes for every task of a model, the page, metrics and documentation; the model runs while the app does.

    ``app.state.gate`` tells how many requests are being answered, and closes the app to new ones.
    """
    engine = Engine(argus, batch=settings.batch, wait=settings.wait, queue=settings.queue)
    gate = Gate(settings.queue + settings.batch, LARGEST * settings.max_pixels)
    metrics = Metrics(engine, gate)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine:
            yield

    app = FastAPI(
        title=f"Argus: {settings.model}",
        description="What photographs show, from one frozen vision backbone.",
        version=version("argus-perception"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.gate = gate
    app.add_middleware(Guard, settings=settings, gate=gate, metrics=metrics)
    app.include_router(api_router(engine, gate, settings))
    app.include_router(status_router(engine, gate, settings, metrics))
    app.include_router(documentation_router())
    app.include_router(page_router(engine, settings))
    _tell_errors(app)
    return app


def _tell_errors(app: FastAPI) -> None:
    """Make every error an answer in JSON."""

    @app.exception_handler(ArgusError)
    async def refused(request: Request, error: ArgusError) -> Response:
        if isinstance(error, Refusal):
            return failure(str(error), error.status, dict(error.headers))
        return failure(str(error), Refusal.status)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        texts = {
            404: f"there is nothing at {request.url.path[:200]}; /docs shows what there is",
            405: f"{request.url.path[:200]} takes no {request.method}; /docs shows what it takes",
        }
        return failure(texts.get(error.status_code, str(error.detail)), error.status_code, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        places = [(".".join(map(str, entry["loc"])), entry["msg"]) for entry in error.errors()[:3]]
        return failure("; ".join(f"{place}: {text}" for place, text in places), Refusal.status)
