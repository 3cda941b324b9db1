"""Requests from command lines and configuration files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from typer.models import OptionInfo

from argus_arena.requests.models import Request, RunRequest
from argus_core.common.options import check_options, parse_pairs
from argus_core.errors import ArgusError, unknown

R = TypeVar("R", bound=Request)


def given_options(model: type[Request], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that are among the options of a command line and were used."""
    return {key: values[key] for key in model.model_fields if values.get(key) not in (None, [])}


def make(model: type[R], values: Mapping[str, Any], what: str) -> R:
    """The request that a command line makes; raises ArgusError with all faults of ``what``."""
    return model(**check_options(model, given_options(model, values), what))


NEEDED = {"heads": "--head NAME", "data": "--data SPEC"}


def make_request(options: Mapping[str, Any], file: Path | None = None) -> RunRequest:
    """The request of a run: a configuration file with ``options``, fields of a request, over it.

    Raises ArgusError for an unknown key, a value of the wrong type, and where data or heads are missing.
    """
    in_file = read_toml(file) if file else {}
    known = {*RunRequest.model_fields, "set"} - {"settings"}
    for key in in_file:
        if key not in known:
            raise unknown("key of a run", key, known)
    settings = in_file.pop("set", {})
    if not isinstance(settings, Mapping):
        raise ArgusError(f"set = {settings!r} in {file} is not a table; write [set] and below it key = value")
    values = {**in_file, **options, "settings": {**settings, **parse_pairs(options.get("settings"))}}
    for key, needed in NEEDED.items():
        if not values.get(key):
            raise ArgusError(f"{key} is not given; add {needed}")
    return RunRequest(**check_options(RunRequest, values, "the run"))


def check_names(request: RunRequest) -> None:
    """Raise ArgusError for names that nothing answers to and paths that are not there.

    Options were checked when the command line was read; this checks the values of a configuration file in the same way.
    """
    for key, field in RunRequest.model_fields.items():
        for item in field.metadata:
            value = getattr(request, key)
            if isinstance(item, OptionInfo) and item.callback and not isinstance(value, dict):
                item.callback(value)


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; raises ArgusError for one that is not there or damaged."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if not path.is_file():
        raise ArgusError(f"there is no configuration file {path}")
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError) as error:
        raise ArgusError(f"{path} cannot be read as TOML: {error}") from error
