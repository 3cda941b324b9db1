"""Command lines made of the models in ``requests``, and the options that several other commands share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_origin, get_type_hints

import typer
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.models import OptionInfo

from argus_core.cli.early import check_path, check_run, checked, placed

RunPath = Annotated[
    Path, typer.Option("--run", callback=placed(check_run), help="run folder, or one head's folder inside it")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", callback=checked(check_path), help="TOML file with the same keys; options win"),
]
Command = TypeVar("Command", bound=Callable[..., None])


def request_options(
    model: type[BaseModel], *, only: Collection[str] = (), without: Collection[str] = (), optional: Collection[str] = ()
) -> list[inspect.Parameter]:
    """An option for each field of ``model``; those of ``optional`` fields are None where they are not used."""
    chosen = [name for name in model.model_fields if name in (only or model.model_fields) and name not in without]
    return [_parameter(name, model.model_fields[name], name in optional) for name in chosen]


def with_options(*groups: list[inspect.Parameter]) -> Callable[[Command], Command]:
    """Give a command the options of ``groups``, which it takes as ``**values``.

    Its own parameters stay: the positional ones before these, the keyword-only ones behind them.
    """

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        own = inspect.signature(command).parameters
        first = [name for name in hints if name in own and own[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        made = {option.name: option for group in groups for option in group if option.name not in hints}
        last = [name for name in hints if name in own and own[name].kind is inspect.Parameter.KEYWORD_ONLY]
        parameters = [
            *(own[name].replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY) for name in first),
            *made.values(),
            *(own[name].replace(annotation=hints[name]) for name in last),
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {option.name: option.annotation for option in parameters}
        return command

    return decorate


def _parameter(name: str, field: FieldInfo, optional: bool) -> inspect.Parameter:
    """The option of a field; what its typer option leaves open follows from the field's name, type and bounds."""
    option = next((copy.copy(item) for item in field.metadata if isinstance(item, OptionInfo)), typer.Option())
    option.help = field.description
    option.min = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    if option.default is ...:  # in an annotation this is the option's name
        option.default = f"--{name.replace('_', '-')}"
    hint: Any = field.annotation
    default = field.default
    kind = get_origin(hint)
    if kind is dict:
        hint, default, option.metavar = list[str], None, "KEY=VALUE"
    elif kind is tuple:
        in_one_text = any(isinstance(item, BeforeValidator) for item in field.metadata)
        hint, default = (str, ",".join(map(str, default))) if in_one_text else (list[str], default)
    elif kind is Literal:
        hint = str
    if optional or default is None:
        hint, default = hint | None, None
    if default is PydanticUndefined:
        default = inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, option])
