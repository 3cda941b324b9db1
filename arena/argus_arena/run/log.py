"""The log of a run: a JSON object per line, written as the run goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.common.files import write_text
from argus_core.common.places import Address


class Log:
    """Lines in a file, to which each is added at once.

    Objects of a store cannot grow: there lines wait in memory, and all are written when the log is saved.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] | None = [] if isinstance(path, Address) else None

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line."""
        line = json.dumps(record) + "\n"
        if self._waiting is not None:
            self._waiting.append(line)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line)

    def append_once(self, record: Mapping[str, Any]) -> None:
        """Add a line, unless the log has it."""
        written = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        if json.dumps(record) not in [*written, *(line.rstrip("\n") for line in self._waiting or ())]:
            self.append(record)

    def save(self) -> None:
        """Write the lines that wait."""
        if self._waiting:
            write_text(self._path, "".join(self._waiting))

    def rewind(self, step: int | None) -> None:
        """Drop the lines of later steps, or all lines."""
        if step is None:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines()
            kept = [f"{line}\n" for line in lines if _before(line, step)]
            write_text(self._path, "".join(kept))
            self._waiting = kept if self._waiting is not None else None


def _before(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError):
        return False  # the line being written when the run was killed
