"""What the page asks about photographs whose tokens are kept."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from argus_core.serve.body import read_body
from argus_core.serve.marks import MOST_LETTERS, Marks
from argus_core.serve.options import Number, faults
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import Settings

M = TypeVar("M", bound=BaseModel)
Id = Annotated[str, Field(max_length=64)]


class About(BaseModel):
    """A question about one or two photographs, by their ids."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[Id], Field(min_length=1, max_length=2)]


class Spot(About):
    """What is similar to ``point``, x and y in pixels of the first photograph."""

    point: tuple[Number, Number]


class Tokens(About):
    """The principal components of the tokens of ``layer``."""

    layer: int


class Lesson(About):
    """What a head that is solved from ``marks`` says about the photographs ``ids``."""

    marks: Marks


class Saving(BaseModel):
    """The head that is solved from ``marks``, to be saved as ``name``."""

    model_config = ConfigDict(extra="forbid")
    marks: Marks
    name: Annotated[str, Field(max_length=MOST_LETTERS)]


async def asked(request: Request, kind: type[M], settings: Settings) -> M:
    """The question in the body of a request; raises ``Refusal`` in words for anything else."""
    body = await read_body(request, settings)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(faults(error, kind)) from error
