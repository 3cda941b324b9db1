"""The trained heads that a command works with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from argus_core.head import Head
from argus_core.saving.runs import load_run


def open_run(path: Path, which: str = "best") -> tuple[dict[str, Head], dict[str, Any]]:
    """The heads of a run and their record; those whose code is not installed are left out, and stderr says so."""
    missing: dict[str, str] = {}
    heads, record = load_run(path, which, missing)
    for name, reason in missing.items():
        print(f"warning: {name} is left out: {reason}", file=sys.stderr)
    return heads, record
