"""Records that leave this machine: plain JSON values without what concerns nobody else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError

_PATH = re.compile(r"""(?:(?<=^)|(?<=:)|(?<=:"))(?:[A-Za-z]:[\\/]|~?[\\/])\S""")


def portable(values: Any) -> Any:
    """The values with folders cut from absolute paths, also behind a prefix as in ``coco:PATH``, and nan as None."""
    if isinstance(values, Mapping):
        return {str(key): portable(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [portable(value) for value in values]
    if isinstance(values, Path):
        return values.name
    if isinstance(values, str):
        values = values.encode(errors="surrogateescape").decode(errors="replace")  # names of files that are no UTF-8
        found = _PATH.search(values)
        return values[: found.start()] + re.split(r"[\\/]", values.rstrip("\\/"))[-1] if found else values
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if values is None or isinstance(values, bool | int | float):
        return values
    raise ArgusError(f"{values!r} in a record is no plain JSON value; keep numbers, texts, lists and dictionaries")
