"""What the command line and a configuration file say of a run together, checked as far as that goes without torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.cli.early import check_backbone, check_data, check_heads, check_license, check_protocol
from argus_core.common.folders import check_local
from argus_core.errors import ArgusError

NEEDED = {"heads": "--head NAME", "data": "--data SPEC"}
CHECKS = {
    "heads": check_heads,
    "data": check_data,
    "cache": check_local,
    "backbone": check_backbone,
    "protocol": check_protocol,
    "require_license": check_license,
}


def merged(given: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """The values of a configuration file with the command line's over them."""
    return {**(read_toml(config) if config else {}), **given}


def check_needed(values: Mapping[str, Any]) -> None:
    """Raise ArgusError if data or heads are missing."""
    for needed, option in NEEDED.items():
        if not values.get(needed):
            raise ArgusError(f"{needed} is not given; add {option}")


def check_names(given: Mapping[str, Any], config: Path | None) -> None:
    """Raise ArgusError for names that nothing answers to, of the file as well."""
    values = merged(given, config)
    if config is None:  # in a file the key may be misspelt, which is told first
        check_needed(values)
    for key, check in CHECKS.items():
        for one in values[key] if isinstance(values.get(key), list | tuple) else [values.get(key)]:
            if isinstance(one, str):
                check(one)


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; raises ArgusError for one that is not there or damaged."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if not path.is_file():
        raise ArgusError(f"there is no configuration file {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ArgusError(f"{path} cannot be read as TOML: {error}") from error
