"""The options of a class are the keyword-only parameters of its constructor, checked as one pydantic model."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError, create_model

from argus_core.errors import ArgusError, unknown


def options_model(target: Callable[..., Any]) -> type[BaseModel]:
    """A frozen pydantic model with one field per keyword-only parameter of ``target``.

    Parameters of types that cannot be written as text, such as modules that a subclass passes to its parent, are not
    options: they keep their defaults. Raises ArgusError for such a parameter without a default.
    """
    function = target.__init__ if inspect.isclass(target) else target
    parameters = [
        p for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    hints = _hints(function, parameters)
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
    }
    name = f"{getattr(target, '__name__', 'target')}Options"
    config = ConfigDict(frozen=True, extra="forbid")
    try:
        return create_model(name, __config__=config, **fields)
    except PydanticSchemaGenerationError:
        return create_model(name, __config__=config, **_textual(fields, function.__qualname__))


def _textual(fields: Mapping[str, tuple[Any, Any]], owner: str) -> dict[str, Any]:
    """The fields of types that pydantic knows."""
    known = {}
    for name, (hint, default) in fields.items():
        try:
            TypeAdapter(hint)
        except PydanticSchemaGenerationError as error:
            if default is ...:
                raise ArgusError(
                    f"{owner}: option {name} is of type {hint}, which no text can give; give it a default, or a type "
                    "such as int, float, str, bool, Path, Literal or a tuple of these"
                ) from error
        else:
            known[name] = (hint, default)
    return known


def _hints(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> dict[str, Any]:
    # Only of these parameters: others may have types that are only imported for type checkers.
    annotations = {p.name: p.annotation for p in parameters if p.annotation is not inspect.Parameter.empty}
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=annotations), getattr(function, "__globals__", {}), include_extras=True
        )
    except NameError as error:
        raise ArgusError(f"the type of an option of {function.__qualname__} is unknown at run time: {error}") from error


def check_options(model: type[BaseModel], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """All fields of ``model`` after setting ``values``; raises ArgusError with one line per fault."""
    for key in values:
        if key not in model.model_fields:
            raise unknown(f"option of {what}", key, model.model_fields)
    try:
        checked = model(**{key: _listed(model.model_fields[key].annotation, value) for key, value in values.items()})
    except ValidationError as error:
        lines = [f"{what}: {'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise ArgusError("\n".join(lines)) from error
    return {name: getattr(checked, name) for name in model.model_fields}


def _listed(hint: Any, value: Any) -> Any:
    """A single value as a list where the type is one: ``layers=-1``."""
    return [value] if get_origin(hint) in (tuple, list) and isinstance(value, int | float | str) else value


def parse_value(text: str) -> Any:
    """A command-line value: JSON where it parses, ``5,8,11`` as a list, anything else as text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    parts = text.split(",")
    is_list = len(parts) > 1
    if is_list and not parts[-1].strip():  # "11," as Python writes tuples
        parts.pop()
    if is_list and all(_is_number(part) for part in parts):
        return [json.loads(part) for part in parts]
    return text


def parse_pairs(texts: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` texts as a dictionary, values parsed; a mapping is taken as it is."""
    if isinstance(texts, Mapping):
        return dict(texts)
    values = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise ArgusError(f"{text!r} is not KEY=VALUE")
        values[key.strip()] = parse_value(value)
    return values


LARGEST = 16384
"""The largest side in pixels that commands accept: such an image takes 0.75 GiB."""


def parse_size(text: str) -> tuple[int, int]:
    """``640`` or ``480x640`` (height x width) in pixels."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdigit() for part in parts):
        raise ArgusError(f"{text!r} is neither SIZE nor HEIGHTxWIDTH in pixels, such as 640 or 480x640")
    height, width = int(parts[0]), int(parts[-1])
    if max(height, width) > LARGEST:
        raise ArgusError(f"{text!r} is too large: a side is at most {LARGEST} pixels")
    return height, width


def _is_number(text: str) -> bool:
    try:
        return isinstance(json.loads(text), int | float)
    except json.JSONDecodeError:
        return False
