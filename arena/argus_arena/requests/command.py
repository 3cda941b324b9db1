"""A request as the command line that makes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from typer.models import OptionInfo

from argus_arena.requests.models import Request


def command_line(program: str, request: Request) -> str:
    """The command for a shell; fields that have their default values are left out."""
    words = [program]
    for name, field in type(request).model_fields.items():
        value = getattr(request, name)
        if value != field.get_default(call_default_factory=True):
            words += [shlex.quote(word) for word in _option(_name(name, field), value)]
    return " ".join(words)


def _name(field: str, info: FieldInfo) -> str:
    """``--maps/--no-maps``, ``--backbone-set``."""
    option = next((item for item in info.metadata if isinstance(item, OptionInfo)), None)
    stated = option.default if option is not None else ...
    return stated if isinstance(stated, str) else f"--{field.replace('_', '-')}"


def _option(name: str, value: Any) -> Iterator[str]:
    """The words that give an option a value."""
    if isinstance(value, bool):
        yield name.split("/")[0 if value else -1]
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from (name, f"{key}={_text(part)}")
    else:
        yield from (name, _text(value))


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
