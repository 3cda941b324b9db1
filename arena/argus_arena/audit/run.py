"""``arena data audit``: caches opened, faults found, and the files and lines that tell of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from argus_arena.audit.audit import audit
from argus_arena.audit.opened import open_caches
from argus_arena.audit.page import write_page
from argus_arena.audit.result import Values, as_values
from argus_arena.audit.summary import lines, next_steps
from argus_core.common.files import write_json
from argus_core.common.folders import claim
from argus_core.common.places import Address
from argus_core.common.progress import finished

RESULT, PAGE = "audit.json", "audit.html"


def default_out(cache: Path) -> Path:
    """The folder of an audit: beside its first cache, or in the working directory where that is in a store."""
    name = f"{cache.name or 'cache'}-audit"
    return Path(name) if isinstance(cache, Address) else cache.absolute().parent / name


def run_audit(
    caches: Sequence[Path],
    data: Sequence[str] = (),
    out: Path | None = None,
    top: int = 100,
    tasks: Sequence[str] = (),
    pictures: bool = True,
    quiet: bool = False,
) -> Values:
    """Audit some caches and write audit.json and audit.html to ``out``; returns what the former holds.

    The page shows the first ``top`` findings of each kind. Unless ``quiet``, a summary is printed. Raises ArgusError
    for a folder that holds something else, and for what ``open_caches`` and ``audit`` refuse.
    """
    began = time.perf_counter()
    out = out or default_out(caches[0])
    claim(out, lambda folder: (folder / RESULT).is_file(), "audit")
    found = audit(open_caches(caches, data), tasks)
    values = as_values(found)
    write_json(out / RESULT, values)
    write_page(found, values, out / PAGE, top, pictures)
    if not quiet:
        _tell(values, out, time.perf_counter() - began)
    return values


def _tell(values: Values, out: Path, seconds: float) -> None:
    for line in lines(values):
        print(line)
    finished("audit", out / PAGE, seconds)
    for number, step in enumerate(next_steps(values), 1):
        print(f"next {number}: {step}")
