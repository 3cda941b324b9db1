"""How a server is: its health, and its metrics."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from argus_core.serve.engine import Engine
from argus_core.serve.gate import Gate
from argus_core.serve.metrics import Metrics
from argus_core.serve.schema import Health
from argus_core.serve.settings import Settings


def status_router(engine: Engine, gate: Gate, settings: Settings, metrics: Metrics) -> APIRouter:
    """``/health`` and ``/metrics``."""
    router = APIRouter(tags=["server"])
    argus = engine.argus
    known = {
        "model": settings.model,
        "backbone": argus.backbone.name,
        "device": str(argus.backbone.device),
        "heads": {name: argus.head(name).task.name for name in argus.heads},
        "version": version("argus-perception"),
    }

    @router.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def health() -> Response:
        """Whether the server takes requests (status 200; 503 when it is about to stop), and what it serves."""
        return JSONResponse({"ready": not gate.closed, **known}, 503 if gate.closed else 200)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
    async def measured() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
