"""The routes that look at images, with what the documentation says of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from argus_core.serve.body import JsonImage
from argus_core.serve.engine import Engine
from argus_core.serve.gate import Gate
from argus_core.serve.options import (
    ClassifyOptions,
    CorrespondOptions,
    DepthOptions,
    DetectOptions,
    EmbedOptions,
    Options,
    PerceiveOptions,
    SegmentOptions,
)
from argus_core.serve.routes import Answering, Asking
from argus_core.serve.schema import ANSWERS, PERCEPTION, Failure, Matches, Vectors
from argus_core.serve.settings import Settings

FAILURES = {
    400: "the request cannot be read",
    401: "the token is missing or wrong",
    408: "the request takes too long to arrive",
    413: "an image or the request is too large",
    415: "this is no image, or a body of another type",
    422: "a parameter or an image is wrong",
    503: "too many requests are waiting, or the server is about to stop",
    504: "the answer takes too long",
}


class Route(NamedTuple):
    """A path, what it is for, its parameters, and the shape of its answers."""

    path: str
    summary: str
    options: type[Options]
    answer: Any
    answerer: Answering


ONE_TASK: Mapping[str, tuple[str, type[Options]]] = {
    "classify": ("The best classes", ClassifyOptions),
    "segment": ("The class of every pixel", SegmentOptions),
    "depth": ("The distance of every pixel", DepthOptions),
    "detect": ("The objects", DetectOptions),
}


def api_router(engine: Engine, gate: Gate, settings: Settings) -> APIRouter:
    """A route for everything at once, one for each task that the model has, and one for vectors."""
    router = APIRouter(tags=["images"], dependencies=[Depends(HTTPBearer(auto_error=False))] if settings.token else [])
    asking = Asking(engine, gate, settings)
    for route in _routes(asking):
        _add(router, asking, route)
    return router


def _routes(asking: Asking) -> list[Route]:
    tasks = {asking.engine.argus.head(name).task.name for name in asking.engine.argus.heads}
    routes = []
    if tasks - {"correspond"}:
        routes.append(Route("/perceive", "Everything at once", PerceiveOptions, PERCEPTION, asking.perceive))
    for task, (summary, options) in ONE_TASK.items():
        if task in tasks:
            answerer = partial(asking.one_task, task)
            routes.append(Route(f"/{task}", summary, options, ANSWERS[task], answerer))
    if "correspond" in tasks:
        summary = "Where points of one image lie in another"
        routes.append(Route("/correspond", summary, CorrespondOptions, Matches, asking.correspond))
    return [*routes, Route("/embed", "Vectors of images or boxes", EmbedOptions, Vectors, asking.embed)]


def _add(router: APIRouter, asking: Asking, route: Route) -> None:
    async def respond(request: Request) -> Response:
        return await asking.respond(request, route.options, route.answerer)

    kinds = ("image/png", "image/jpeg") if "format" in route.options.model_fields else ()
    router.add_api_route(
        route.path,
        respond,
        methods=["POST"],
        summary=route.summary,
        operation_id=route.path.strip("/"),
        response_model=route.answer,
        responses={
            200: {"content": {kind: {} for kind in kinds}},
            **{status: {"model": Failure, "description": text} for status, text in FAILURES.items()},
        },
        openapi_extra={"parameters": _parameters(route.options), "requestBody": _body(route.options)},
    )


def _parameters(options: type[Options]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in options.model_json_schema().get("required", ()),
            "description": entry.pop("description", ""),
            "schema": entry,
        }
        for name, entry in _fields(options).items()
    ]


def _fields(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The schema of each field; that it may be null goes without saying, as it need not be given."""
    fields = {}
    for name, entry in model.model_json_schema()["properties"].items():
        kinds = [kind for kind in entry.pop("anyOf", []) if kind.get("type") != "null"]
        fields[name] = {**entry, **(kinds[0] if kinds else {})}
        fields[name].pop("title", None)
    return fields


def _body(options: type[Options]) -> dict[str, Any]:
    """The kinds of body. Forms take parameters too, but one place to give them is enough for a page to try."""
    image = _fields(JsonImage)
    several = {"type": "array", "items": {"type": "object", "properties": image}}
    file = {"type": "string", "format": "binary"}
    files = ("first", "second") if options is CorrespondOptions else ("image",)
    form = {"type": "object", "properties": dict.fromkeys(files, file)}
    values = {"type": "object", "properties": {**image, "images": several, **_fields(options)}}
    return {
        "required": True,
        "description": "A form with one or more images, the bytes of one image, or JSON. "
        "Forms and JSON may hold the parameters too.",
        "content": {
            "multipart/form-data": {"schema": form},
            "image/*": {"schema": file},
            "application/json": {"schema": values},
        },
    }
