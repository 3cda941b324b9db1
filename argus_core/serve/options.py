"""What a request may ask for: the parameters of each route, whether they come in the address, a form or JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from argus_core.serve.refusal import Refusal

T = TypeVar("T", bound="Options")
MOST_POINTS = 10_000
"""Points, and boxes, that a request may hold."""


def _split(value: Any) -> Any:
    """Names with commas between them as a list; lists of such texts too, and what is no text stays."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return [name for part in value for name in (_split(part) if isinstance(part, str) else [part])]
    return value


def _groups(value: Any) -> Any:
    """Texts such as ``10,20`` as lists of numbers; a list of lists stays."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[;\s]+", value) if part]
    return [_split(part) if isinstance(part, str) else part for part in value] if isinstance(value, list) else value


Names = Annotated[list[str], BeforeValidator(_split), Field(max_length=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Points = Annotated[
    list[Annotated[list[Number], Field(min_length=2, max_length=2)]],
    BeforeValidator(_groups),
    Field(min_length=1, max_length=MOST_POINTS, description="x,y in pixels of the first image; repeatable"),
]
Boxes = Annotated[
    list[Annotated[list[Number], Field(min_length=4, max_length=4)]],
    BeforeValidator(_groups),
    Field(max_length=MOST_POINTS, description="x1,y1,x2,y2 in pixels of the image; repeatable"),
]
Head = Annotated[str | None, Field(description="which head answers, where several could")]
Threshold = Annotated[float, Field(ge=0, le=1, description="lowest score of a detection")]
TopK = Annotated[int, Field(ge=1, le=100_000, description="classes listed per image")]
Embeddings = Annotated[bool, Field(description="also a vector of every object and image")]
Maps = Annotated[
    bool, Field(description="also masks and depth as PNG files in data URLs: class indices, and 16 bits of millimetres")
]
Pictured = Annotated[
    Literal["json", "png", "jpeg"] | None,
    Field(description="json, or a picture of the answers; by default as the header Accept says, or else json"),
]
Mapped = Annotated[
    Literal["json", "png", "jpeg", "map"] | None,
    Field(description="json, a picture, or the map itself as PNG: class indices, or 16 bits of millimetres"),
]


class Options(BaseModel):
    """The parameters of a route; other names are errors."""

    model_config = ConfigDict(extra="forbid")

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What ``Task.result`` is given, by task."""
        fields = {"detect": ("score_thresh", "threshold"), "classify": ("top_k", "top_k")}
        return {task: {name: getattr(self, own)} for task, (name, own) in fields.items() if hasattr(self, own)}


class PerceiveOptions(Options):
    """Parameters of ``/perceive``."""

    tasks: Annotated[Names | None, Field(description="tasks or heads, with commas between them; default: all")] = None
    threshold: Threshold = 0.3
    top_k: TopK = 5
    embeddings: Embeddings = False
    maps: Maps = False
    format: Pictured = None


class ClassifyOptions(Options):
    """Parameters of ``/classify``."""

    head: Head = None
    top_k: TopK = 5
    format: Pictured = None


class SegmentOptions(Options):
    """Parameters of ``/segment``."""

    head: Head = None
    maps: Maps = False
    format: Mapped = None


class DepthOptions(SegmentOptions):
    """Parameters of ``/depth``."""


class DetectOptions(Options):
    """Parameters of ``/detect``."""

    head: Head = None
    threshold: Threshold = 0.3
    embeddings: Embeddings = False
    format: Pictured = None


class CorrespondOptions(Options):
    """Parameters of ``/correspond``."""

    points: Points
    head: Head = None
    format: Pictured = None


class EmbedOptions(Options):
    """Parameters of ``/embed``."""

    boxes: Boxes | None = None


def parse(kind: type[T], values: Mapping[str, Any]) -> T:
    """The parameters of a request; raises ``Refusal`` that names the wrong ones."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise Refusal(faults(error, kind)) from error


def faults(error: ValidationError, kind: type[BaseModel]) -> str:
    """What is wrong in words, a few faults at most."""
    texts = []
    for entry in error.errors(include_url=False, include_context=False)[:3]:
        name = ".".join(str(part) for part in entry["loc"] if not str(part).startswith("function-"))
        if entry["type"] == "extra_forbidden":
            texts.append(f"there is no parameter {name[:60]!r}; there are {', '.join(kind.model_fields)}")
        else:
            said = f"{entry['msg'][0].lower()}{entry['msg'][1:]}, not {shown(entry['input'])}"
            texts.append(f"{name[:60]}: {said}" if name else said)
    return "; ".join(texts)


def shown(value: object) -> str:
    """A value of a request as a short text."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
