"""The routes of a model's tasks: requests in, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from argus_core.argus import Argus
from argus_core.errors import ArgusError
from argus_core.image.array import RGB
from argus_core.serve.answers import Encoded, Seen, as_json, as_picture, chosen_format, encode, entry_start, sized
from argus_core.serve.body import Sent, parameters, read_body, take_apart
from argus_core.serve.engine import Engine
from argus_core.serve.gate import Gate
from argus_core.serve.images import apart
from argus_core.serve.opened import checked, opened, together, whole
from argus_core.serve.options import CorrespondOptions, EmbedOptions, Options, PerceiveOptions, parse
from argus_core.serve.refusal import Busy, Refusal
from argus_core.serve.settings import Settings
from argus_core.tasks.result import rounded

T = TypeVar("T")
Answering = Callable[[Any, Sent, str], Coroutine[Any, Any, Encoded]]
"""Gives the answer to the parameters and the body of a request, for a client that accepts what the text says."""


class Asking:
    """Answers requests with a model; each method is for the parameters of one route."""

    def __init__(self, engine: Engine, gate: Gate, settings: Settings) -> None:
        self.engine, self.gate, self.settings = engine, gate, settings

    async def respond(self, request: Request, kind: type[Options], answer: Answering) -> Response:
        """Read a request, answer it in time, and give up if its client does."""
        if self.engine.full:
            raise Busy
        body = await read_body(request, self.settings)
        sent = await take_apart(body, request, self.settings)
        options = parse(kind, parameters(request, sent))
        accept = request.headers.get("Accept", "")
        found = await unless_gone(request, answer(options, sent, accept), self.settings.timeout)
        return Response(found.content, media_type=found.media_type, headers={"Vary": "Accept"})

    async def perceive(self, options: PerceiveOptions, sent: Sent, accept: str) -> Encoded:
        """The answers of all heads, or of those asked for."""
        names = self.engine.argus.names(options.tasks or None)
        for name in names:
            if self.engine.argus.head(name).task.name == "correspond":
                raise Refusal(f"{name} compares two images: ask /correspond")
        return await self._look(names, options, sent, accept)

    async def one_task(self, task: str, options: Any, sent: Sent, accept: str) -> Encoded:
        """The answer of the head for one task."""
        return await self._look([self.engine.argus.find(task, options.head)], options, sent, accept)

    async def correspond(self, options: CorrespondOptions, sent: Sent, accept: str) -> Encoded:
        """Where points of the first image lie in the second."""
        form = chosen_format(options.format, accept)
        if len(sent.images) != 2:
            raise Refusal(f"two images are compared; the request has {len(sent.images)}")
        async with opened(sent.images, self.gate, self.settings) as images:
            first, second = whole(images)
            height, width = first.shape[:2]
            for x, y in options.points:
                if not (0 <= x <= width and 0 <= y <= height):
                    raise Refusal(f"the point {x:g},{y:g} lies outside the first image of {width}x{height} px")
            match = await self.engine.run(lambda argus: argus.correspond(first, second, options.points, options.head))
            if form != "json":
                return await apart(as_picture, match, form)
            return as_json({"sizes": [sized(first), sized(second)], **match.to_dict()})

    async def embed(self, options: EmbedOptions, sent: Sent, accept: str) -> Encoded:
        """The vectors of images, or those of boxes in one image."""
        boxes = options.boxes
        if boxes is not None and len(sent.images) > 1:
            raise Refusal(f"boxes are of one image, and the request has {len(sent.images)}")
        async with opened(sent.images, self.gate, self.settings) as seen:
            images = [one.image for one in seen if one.image is not None]
            vectors = iter(await self.engine.run(partial(_vectors, images, boxes)))
            name = "embedding" if boxes is None else "embeddings"
            rows = [entry_start(one) | ({} if one.image is None else {name: next(vectors)}) for one in seen]
            return as_json({"images": rows})

    async def _look(self, names: Sequence[str], options: Any, sent: Sent, accept: str) -> Encoded:
        form = chosen_format(options.format, accept)
        vectors = getattr(options, "embeddings", False)
        async with opened(sent.images, self.gate, self.settings) as images:
            seen = await together(self._see(one, names, options.settings, vectors) for one in images)
            return await apart(encode, checked(seen), form, getattr(options, "maps", False))

    async def _see(self, one: Seen, names: Sequence[str], options: Mapping[str, Any], vectors: bool) -> Seen:
        """The image with the results of heads; what the model cannot take is its own fault, and no one else's."""
        if one.image is None:
            return one
        try:
            return one._replace(results=await self.engine.answer(one.image, names, options, vectors))
        except Busy:
            raise
        except ArgusError as error:
            return one._replace(fault=Refusal(str(error)))


def _vectors(images: list[RGB], boxes: list[list[float]] | None, argus: Argus) -> list[Any]:
    """The vector of each image, or those of the boxes of a single one, as plain numbers."""
    if boxes is None:
        return [rounded(vector) for vector in argus.embed(images)]
    return [rounded(argus.embed(images[0], boxes))]


async def unless_gone(request: Request, work: Coroutine[Any, Any, T], timeout: float) -> T:
    """What ``work`` gives; it is cancelled after ``timeout`` seconds, and if the client hangs up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        raise ClientDisconnect if done else Refusal(f"no answer within {timeout:g} s; try again later", 504)
    finally:
        task.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
