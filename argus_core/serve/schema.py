"""The shapes of answers, for the API's documentation; ``Result.to_dict`` makes the answers themselves."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Shape(BaseModel):
    """Part of an answer; no part has a field that is not said here."""

    model_config = ConfigDict(extra="forbid")


class Failure(Shape):
    """What is wrong with a request."""

    error: str


class ClassEntry(Shape):
    """A class of an image."""

    class_id: int
    class_name: str
    score: float | None
    margin: float | None = Field(None, description="the best score minus the second best; of the first class only")


class Classes(Shape):
    """The best classes of an image, best first."""

    classes: list[ClassEntry]


class RunLengths(Shape):
    """A mask as COCO's run lengths."""

    size: list[int]
    counts: str


class Mask(Shape):
    """The pixels of a class."""

    class_id: int
    class_name: str
    share: float
    segmentation: RunLengths


class Masks(Shape):
    """The classes of all pixels, largest first."""

    size: list[int] = Field(description="height, width")
    masks: list[Mask]
    file: str | None = Field(None, description="with `maps`: class indices as PNG, in a data URL")


class DepthSummary(Shape):
    """Metres of the pixels whose depth is known, and their share of the image."""

    size: list[int] = Field(description="height, width")
    unit: str
    min: float | None
    max: float | None
    median: float | None
    known: float
    file: str | None = Field(None, description="with `maps`: millimetres as 16-bit PNG, in a data URL")


class Detection(Shape):
    """An object; its box is x1, y1, x2, y2 in pixels of the image."""

    class_id: int
    class_name: str
    score: float | None
    box: list[float | None]
    embedding: list[float] | None = Field(None, description="with `embeddings`: a vector of length 1")


class Detections(Shape):
    """The objects of an image, best first."""

    detections: list[Detection]
    embedding: list[float] | None = Field(None, description="with `embeddings`: the vector of the image")


class Flag(Shape):
    """A detection that another head doubts: too little of its box is masked as its class."""

    head: str
    detection: int
    masks: str
    support: float
    seen: str


class ImageAnswer(Shape, Generic[T]):
    """The answers of heads about an image, or what is wrong with it while others of the request have answers."""

    file_name: str | None
    size: list[int] | None = Field(None, description="height, width")
    results: dict[str, T] | None = Field(None, description="by name of the head")
    embedding: list[float] | None = Field(None, description="with `embeddings`: the vector of the image")
    flags: list[Flag] | None = Field(None, description="detections that masks of another head contradict")
    error: str | None = None


class Answer(Shape, Generic[T]):
    """An entry for each image, in the order of the request."""

    images: list[ImageAnswer[T]]


class Match(Shape):
    """Where a point of the first image lies in the second; null if there is no match."""

    point: list[float]
    match: list[float] | None
    score: float | None
    mutual: bool | None = None


class Matches(Shape):
    """The matches of all points, in their order."""

    sizes: list[list[int]] = Field(description="height, width of both images")
    matches: list[Match]


class ImageVectors(Shape):
    """The vector of an image, or those of its boxes, of length 1."""

    file_name: str | None
    size: list[int] | None = None
    embedding: list[float] | None = None
    embeddings: list[list[float]] | None = None
    error: str | None = None


class Vectors(Shape):
    """An entry for each image, in the order of the request."""

    images: list[ImageVectors]


class Health(Shape):
    """Whether the server takes requests, and what it serves."""

    ready: bool
    model: str
    backbone: str
    device: str
    heads: dict[str, str] = Field(description="tasks by name of the head")
    version: str


ANSWERS: dict[str, Any] = {
    "classify": Answer[Classes],
    "segment": Answer[Masks],
    "depth": Answer[DepthSummary],
    "detect": Answer[Detections],
}
"""The answer of a route by its task."""
PERCEPTION = Answer[Classes | Masks | DepthSummary | Detections | dict[str, Any]]
