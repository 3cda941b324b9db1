"""The folder an export goes to: whole and with its report, or as it was."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from argus_core.argus import Argus
from argus_core.bundle.config import is_bundle
from argus_core.errors import ArgusError
from argus_core.export.verify import Report
from argus_core.files import read_json, write_json
from argus_core.ground import claim

REPORT = "export.json"
STAGE = ".export-"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` whose files move there when all is done; after an error nothing of it is left.

    Raises ArgusError for a folder that holds anything but an export or a saved Argus.
    """
    claim(folder, is_export, "export")
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # of a killed one, as tempfile names it
        if re.fullmatch(rf"{re.escape(STAGE)}[a-z0-9_]{{8}}", left.name):
            shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix=STAGE, dir=folder) as stage:
            yield Path(stage)
            for path in sorted(Path(stage).iterdir()):
                path.replace(folder / path.name)
    finally:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()


def is_export(folder: Path) -> bool:
    """Whether a folder holds graphs that were written here, or a saved Argus."""
    if is_bundle(folder):
        return True
    with suppress(ArgusError):
        held = read_json(folder / REPORT, "")
        return isinstance(held, dict) and {"files", "licenses"} <= held.keys()
    return False


def record(argus: Argus, files: Mapping[str, Path], found: Report | None, folder: Path, stage: Path) -> dict[str, Any]:
    """Where the files will be, under which terms, and how far they are off; also written as ``export.json``."""
    report: dict[str, Any] = {"files": {name: path.name for name, path in files.items()}}
    report["licenses"] = argus.licenses().to_dict()
    if found:
        report |= {"limit": found.limit, "largest": found.largest(), "differences": found.differences}
    write_json(stage / REPORT, report)
    return {**report, "files": {name: folder / path.name for name, path in files.items()}}
