"""The web application around a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec

from fastapi import FastAPI

from argus_core.argus import Argus
from argus_core.serve.engine import Engine
from argus_core.serve.settings import Settings


def make_app(argus: Argus, settings: Settings) -> FastAPI:
    """Routes for every task of a model, the page, metrics and documentation; the model runs while the app does."""
    engine = Engine(argus, batch=settings.batch, wait=settings.wait, queue=settings.queue)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine:
            yield

    app = FastAPI(title="Argus", lifespan=lifespan, docs_url=None, redoc_url=None)
    if find_spec("argus_core.serve.page"):
        page = import_module("argus_core.serve.page")
        app.include_router(page.page_router(engine, settings))
    return app
