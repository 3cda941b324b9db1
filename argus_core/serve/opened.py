"""The images of a request: received, measured, and decoded when there is room for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from argus_core.image.array import RGB
from argus_core.serve.answers import Seen
from argus_core.serve.body import Upload
from argus_core.serve.gate import Gate
from argus_core.serve.images import apart, decode, measure
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings
from argus_core.serve.urls import fetch_public

T = TypeVar("T")


class File(NamedTuple):
    """The bytes of an image with its number of pixels, or why there are none."""

    name: str | None
    data: bytes
    pixels: int
    fault: Refusal | None = None


@asynccontextmanager
async def opened(uploads: Sequence[Upload], gate: Gate, settings: Settings) -> AsyncIterator[list[Seen]]:
    """A context with the images of a request; one that cannot be read has a fault, and raises it if all have one."""
    files = await together(_receive(upload, settings) for upload in uploads)
    async with gate.hold(sum(file.pixels for file in files)):
        yield checked(await together(_open(file, settings) for file in files))


def checked(seen: list[Seen]) -> list[Seen]:
    """The same; raises the first fault if there is nothing else."""
    faults = [one.fault for one in seen if one.fault is not None]
    if len(faults) == len(seen):
        raise faults[0]
    return seen


def whole(seen: Sequence[Seen]) -> list[RGB]:
    """The images; raises the first fault if there is one."""
    for number, one in enumerate(seen, 1):
        if one.fault is not None:
            raise Refusal(f"image {number}: {one.fault}", one.fault.status)
    return [one.image for one in seen if one.image is not None]


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each of some works gives; if one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _receive(upload: Upload, settings: Settings) -> File:
    try:
        data = await _bytes_of(upload, settings)
        return File(upload.name, data, await apart(measure, data, settings))
    except Refusal as fault:
        return File(upload.name, b"", 0, fault)


async def _bytes_of(upload: Upload, settings: Settings) -> bytes:
    if upload.url is None:
        return upload.data
    if not settings.urls:
        raise Refusal("this server fetches no addresses: send the file, or start it with --urls", 403)
    return await fetch_public(upload.url, settings)


async def _open(file: File, settings: Settings) -> Seen:
    if file.fault is not None:
        return Seen(file.name, None, {}, file.fault)
    try:
        return Seen(file.name, await decode(file.data, settings), {})
    except Refusal as fault:
        return Seen(file.name, None, {}, fault)
