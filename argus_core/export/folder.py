"""The folder an export goes to: whole and with its report, or as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argus_core.argus import Argus
from argus_core.export.verify import Report
from argus_core.files import write_json

REPORT = "export.json"
STAGE = ".export-"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` whose files move there when all is done; after an error nothing of it is left."""
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{STAGE}*"):  # of a killed one
        shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix=STAGE, dir=folder) as stage:
            yield Path(stage)
            for path in sorted(Path(stage).iterdir()):
                path.replace(folder / path.name)
    finally:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()


def record(argus: Argus, files: Mapping[str, Path], found: Report | None, folder: Path, stage: Path) -> dict[str, Any]:
    """Where the files will be, under which terms, and how far they are off; also written as ``export.json``."""
    report: dict[str, Any] = {"files": {name: path.name for name, path in files.items()}}
    report["licenses"] = argus.licenses().to_dict()
    if found:
        report |= {"limit": found.limit, "largest": found.largest(), "differences": found.differences}
    write_json(stage / REPORT, report)
    return {**report, "files": {name: folder / path.name for name, path in files.items()}}
