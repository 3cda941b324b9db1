"""Results as the bytes of answers: JSON, pictures, and maps as PNG."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image
from pydantic_core import to_json

from argus_core.draw import depth_image, index_png
from argus_core.image.array import RGB
from argus_core.model import Perception
from argus_core.serve.refusal import Refusal
from argus_core.tasks import Result
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.result import SAVING, Drawn
from argus_core.tasks.segment import SegmentResult

TYPES = {"json": "application/json", "png": "image/png", "jpeg": "image/jpeg", "map": "image/png"}
"""Media types of the formats."""
ACCEPTED = {"application/json": "json", "image/png": "png", "image/jpeg": "jpeg", "*/*": "json", "image/*": "png"}
"""Formats by what a client accepts."""


class Encoded(NamedTuple):
    """The bytes of an answer, and their media type."""

    content: bytes
    media_type: str


class Seen(NamedTuple):
    """An image of a request, by the name the client gave it, and the results of heads; or what is wrong with it."""

    name: str | None
    image: RGB | None
    results: Mapping[str, Result]
    fault: Refusal | None = None


def chosen_format(asked: str | None, accept: str) -> str:
    """The format of an answer: the one asked for, or the first that the client accepts; raises ``Refusal`` if none."""
    if asked is not None or not accept.strip():
        return asked or "json"
    kinds = [part.partition(";")[0].strip().lower() for part in accept[:1000].split(",")]
    formats = [ACCEPTED[kind] for kind in kinds if kind in ACCEPTED]
    if not formats:
        raise Refusal(f"answers are {', '.join(dict.fromkeys(TYPES.values()))}; accept one of these", 406)
    return formats[0]


def encode(seen: Sequence[Seen], form: str, maps: bool = False) -> Encoded:
    """The answer about the images of a request; raises ``Refusal`` for pictures of several, or maps of other tasks."""
    if form == "json":
        return as_json({"images": [_entry(one, maps) for one in seen]})
    if len(seen) > 1:
        raise Refusal(f"a picture shows one image, and the request has {len(seen)}; ask for JSON", 400)
    results = seen[0].results
    if form == "map":
        (result,) = results.values()
        return Encoded(_map(result), TYPES[form])
    drawn = Perception(results, {}, {}) if len(results) > 1 else next(iter(results.values()))
    return as_picture(drawn, form)


def as_json(values: Mapping[str, Any]) -> Encoded:
    """Plain values as JSON; numbers that are not finite become null."""
    return Encoded(to_json(values, inf_nan_mode="null"), TYPES["json"])


def as_picture(drawn: Drawn, form: str) -> Encoded:
    """The picture of a result, as PNG or JPEG."""
    return Encoded(_saved(drawn.plot(), form.upper()), TYPES[form])


def sized(image: RGB) -> list[int]:
    """Height and width of an image."""
    return [image.shape[0], image.shape[1]]


def entry_start(seen: Seen) -> dict[str, Any]:
    """What the entry of an image begins with: its name, and its size or what is wrong with it."""
    if seen.fault is not None or seen.image is None:
        return {"file_name": seen.name, "error": str(seen.fault)}
    return {"file_name": seen.name, "size": sized(seen.image)}


def _entry(seen: Seen, maps: bool) -> dict[str, Any]:
    if seen.fault is not None:
        return entry_start(seen)
    results = {name: {**result.to_dict(), **(_file(result) if maps else {})} for name, result in seen.results.items()}
    return {**entry_start(seen), "results": results, **Perception(seen.results, {}, {}).whole()}


def _file(result: Result) -> dict[str, str]:
    if not isinstance(result, SegmentResult | DepthResult):
        return {}
    return {"file": f"data:image/png;base64,{b64encode(_map(result)).decode()}"}


def _map(result: Result) -> bytes:
    """The map of a result as PNG: class indices, or millimetres."""
    if isinstance(result, SegmentResult):
        return index_png(result.labels, len(result.classes), result.ignore)
    assert isinstance(result, DepthResult)
    return _saved(depth_image(result.metres), "PNG")


def _saved(image: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    image.save(file, format=kind, **SAVING)
    return file.getvalue()
