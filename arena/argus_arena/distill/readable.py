"""Photographs that cannot be read: told all at once before the first stage, and left out if that is accepted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from argus_arena.distill.photographs import Photographs
from argus_arena.distributed import Distributed
from argus_core.common.files import read_json, write_json
from argus_core.common.progress import ProgressBar
from argus_core.data.check import leave_out
from argus_core.data.hold_out import Part
from argus_core.errors import ArgusError

THREADS = 4
RECORD = "photographs.json"
"""The file in a folder of stages that keeps what was found, so that it is looked for once."""


def readable(photographs: Photographs, folder: Path, process: Distributed, accept: bool) -> Photographs:
    """The photographs that can be read; all processes read a share of them, once for a ``folder`` of stages.

    Raises DataRefused that names the others, unless it is accepted to leave them out, with a warning for each.
    """
    faults, splits = _known(photographs, folder, process), list(photographs.splits)
    for number, split in enumerate(splits):
        own = {int(index): text for index, text in faults.get(str(number), {}).items()}
        if own:
            leave_out(split, own, _warn if process.main else _ignore, accept=accept)
            splits[number] = Part(split.name, split, [index for index in range(len(split)) if index not in own])
    return Photographs(splits)


def _known(photographs: Photographs, folder: Path, process: Distributed) -> dict[str, dict[str, str]]:
    """What is wrong, by number of the split and of the image."""
    file, digest = folder / RECORD, photographs.digest()
    found = read_json(file, "remove it, it is made again") if process.main and file.is_file() else {}
    found = process.gather(found)[0]
    if found.get("sha256") == digest:
        return dict(found["faults"])
    faults: dict[str, dict[str, str]] = {}
    for part in process.gather(list(_faults(photographs, process))):
        for number, index, text in part:
            faults.setdefault(str(number), {})[str(index)] = text
    if process.main:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, {"sha256": digest, "faults": faults})
    process.barrier()
    return faults


def _faults(photographs: Photographs, process: Distributed) -> Iterator[tuple[int, int, str]]:
    """Split, image there, and what is wrong, of this process's share."""
    share = range(len(photographs))[process.rank :: process.size]
    shown = ProgressBar("read photographs", len(share)) if process.main else nullcontext()
    with ThreadPoolExecutor(THREADS) as pool, shown as bar:
        for done, fault in enumerate(pool.map(lambda index: _fault(photographs, index), share), 1):
            if bar is not None:
                bar.update(done)
            if fault is not None:
                yield fault


def _fault(photographs: Photographs, index: int) -> tuple[int, int, str] | None:
    try:
        photographs.read(index)
    except ArgusError as error:
        split, own = photographs.place(index)
        return photographs.splits.index(split), own, str(error)
    return None


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _ignore(text: str) -> None:
    """The first process says it."""
