"""The result rows below some folders."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from argus_core.common.files import read_json
from argus_core.errors import ArgusError

Row = Mapping[str, Any]
PATTERNS = ("result.json", "scores/*.json")


def find_rows(folders: Sequence[Path]) -> list[Path]:
    """The files that hold rows; ArgusError without any."""
    paths = sorted({path for folder in folders for pattern in PATTERNS for path in folder.rglob(pattern)})
    if not paths:
        raise ArgusError(f"no result.json below {', '.join(map(str, folders))}; finish a run first")
    return paths


def read_rows(folders: Sequence[Path]) -> list[Row]:
    """Every row, with its own ``path``; files that are none are named on standard error. ArgusError without any."""
    return [row for path in find_rows(folders) if (row := _read(path)) is not None]


def read_row(path: Path) -> Row:
    """One row; raises ArgusError if the file holds none."""
    row = read_json(path, "choose a result.json of a run")
    if not isinstance(row, dict) or not {"protocol", "data", "metrics", "primary"} <= set(row):
        raise ArgusError(f"{path} is no result row; choose a result.json of a run")
    return {**row, "path": str(path)}


def _read(path: Path) -> Row | None:
    try:
        return read_row(path)
    except ArgusError as error:
        print(f"warning: {error}; it is left out", file=sys.stderr)
        return None
