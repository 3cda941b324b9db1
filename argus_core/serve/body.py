"""Bodies of requests: read under limits of size and time, and taken apart into images and parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, NamedTuple

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from argus_core.serve.images import from_base64
from argus_core.serve.options import faults
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import MEGA, Settings

MOST_PARTS = 1000


class Upload(NamedTuple):
    """An image of a request: the name the client gave it, if any, and its bytes, or else its address."""

    name: str | None
    data: bytes = b""
    url: str | None = None


class Sent(NamedTuple):
    """The body of a request: its images, and the parameters in it."""

    images: list[Upload]
    fields: dict[str, Any]


class JsonImage(BaseModel):
    """An image in JSON: ``image`` in base64 (or as a data URL), or its ``url``."""

    model_config = ConfigDict(extra="forbid")

    image: Annotated[str | None, Field(description="the file in base64, or as a data URL")] = None
    url: Annotated[str | None, Field(max_length=4096, description="its address; servers take them with --urls")] = None
    file_name: Annotated[str | None, Field(max_length=1000, description="its name in the answer")] = None

    def upload(self) -> Upload:
        """The same image however it was sent."""
        if (self.image is None) == (self.url is None):
            raise Refusal("an image in JSON has either its file in base64, as `image`, or its address, as `url`", 400)
        if self.image is not None:
            return Upload(self.file_name, from_base64(self.image))
        return Upload(self.file_name or self.url, url=self.url)


class JsonBody(JsonImage):
    """A request in JSON: an image, or several ``images``, and any of the route's parameters."""

    model_config = ConfigDict(extra="allow")

    images: Annotated[list[JsonImage] | None, Field(description="several images, in place of `image` or `url`")] = None

    def uploads(self) -> list[Upload]:
        """All images."""
        if self.images is None:
            return [self.upload()]
        if self.image is not None or self.url is not None:
            raise Refusal("give one image, or a list of `images`, not both", 400)
        return [image.upload() for image in self.images]


async def read_body(request: Request, settings: Settings) -> bytes:
    """All bytes of a request; raises ``Refusal`` as soon as they are too many or take too long."""
    length = request.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > settings.max_bytes:
        raise _too_many(settings)
    try:
        return await asyncio.wait_for(_collect(request, settings), settings.timeout)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise Refusal(f"the request was not complete after {settings.timeout:g} s", 408) from error


async def _collect(request: Request, settings: Settings) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_bytes:
            raise _too_many(settings)
    return bytes(body)


def _too_many(settings: Settings) -> Refusal:
    return Refusal(f"a request may have {settings.max_bytes / MEGA:g} MB; this one has more", 413)


async def take_apart(body: bytes, request: Request, settings: Settings) -> Sent:
    """The images and parameters in a body: a form, JSON, or the bytes of one image."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        sent = await _form(body, request)
    elif kind == "application/json":
        sent = _json(body)
    elif not kind or kind.startswith("image/") or kind in RAW:
        sent = Sent([Upload(None, body)], {})
    else:
        raise Refusal(f"send the bytes of an image, a form, or JSON, not {kind[:60]!r}", 415)
    most = min(settings.max_images, settings.queue)
    if not sent.images:
        raise Refusal("the request holds no image", 400)
    if len(sent.images) > most:
        raise Refusal(f"a request may hold {most} images, and this one holds {len(sent.images)}", 413)
    return sent


RAW = ("application/octet-stream", "application/x-www-form-urlencoded")
"""Types of a single image; the second is what curl says of any ``--data-binary``."""


async def _form(body: bytes, request: Request) -> Sent:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=MOST_PARTS, max_fields=MOST_PARTS)
    parser.max_part_size = MEGA
    parser.spool_max_size = len(body) + 1  # nothing goes to the disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = getattr(error, "message", "it has no boundary, or is damaged")
        raise Refusal(f"the form cannot be read ({reason})", 400) from error
    images, fields = [], dict[str, Any]()
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            images.append(Upload(value.filename or None, await value.read()))
        else:
            fields[name] = [*_as_list(fields[name]), value] if name in fields else value
    await form.close()
    return Sent(images, fields)


def _json(body: bytes) -> Sent:
    try:
        sent = JsonBody.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(f"the JSON cannot be taken: {faults(error, JsonBody)}", 400) from error
    return Sent(sent.uploads(), dict(sent.model_extra or {}))


def parameters(request: Request, sent: Sent) -> dict[str, Any]:
    """The parameters in the address of a request, and those in its body."""
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        values[name] = [*_as_list(values[name]), value] if name in values else value
    return {**values, **sent.fields}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
