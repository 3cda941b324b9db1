"""`arena cache --plan`: measures the disk and the backbone, and says what caches would take; nothing of it stays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from argus_arena.requests import CacheRequest
from argus_arena.requests.command import command_line
from argus_arena.run.data_faults import DataChecks
from argus_arena.tools.cache import holds_caches, open_backbone, open_splits, specs_of
from argus_arena.tools.cache_forecast import Forecast, Machine, Work, recommend
from argus_arena.tools.cache_rates import BATCHES, FILE_BYTES, measure_disk, measure_dtype, measure_passes
from argus_core.backbones import Backbone
from argus_core.cache.writer import batch_size
from argus_core.common.folders import claim, free_bytes
from argus_core.common.places import Address
from argus_core.common.progress import ProgressBar, duration
from argus_core.data import Split
from argus_core.data.hold_out import Part
from argus_core.errors import ArgusError, counted

MEMORY = 0.8
"""The share of the machine's memory up to which a cache is taken to stay there once it was read."""


WIDTH = 90
"""Columns of the table at least."""


@dataclass(frozen=True)
class CachePlan:
    """What would be cached, what was measured, and the forecasts of each number format.

    ``recommended`` is the format of ``command``, None where caching does not pay; ``because`` says why.
    """

    images: Mapping[str, int]
    what: str
    backbone: str
    device: str
    machine: Machine
    live_epoch_seconds: float
    forecasts: Sequence[Forecast]
    recommended: str | None
    because: str
    command: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def plan_cache(request: CacheRequest) -> CachePlan:
    """Measure and forecast; what is written for it below ``request.out``, or the nearest folder there is, is removed.

    Raises ArgusError for an address, for the workers of an engine, and for what caching would refuse.
    """
    splits = _open(request)
    backbone = open_backbone(request)
    work = Work(splits, specs_of(request), backbone.info)
    machine, forecasts = _measure(request, backbone, work)
    chosen, because = recommend(forecasts)
    spec = work.specs[0]
    return CachePlan(
        {name: len(split) for name, split in zip(request.splits, splits, strict=True)},
        f"{spec.canvas.label}, views {','.join(spec.views)}, layers {','.join(map(str, spec.needs.layers))}",
        backbone.name,
        str(backbone.device),
        machine,
        len(splits[0]) * machine.passes.live,
        forecasts,
        chosen,
        because,
        command_line("arena cache", request.model_copy(update={"dtype": chosen or request.dtype})),
    )


def _open(request: CacheRequest) -> list[Split]:
    """The splits of a request that can be planned."""
    if isinstance(request.out, Address):
        raise ArgusError(f"{request.out} is an address, and a plan measures a disk of this machine; give a folder")
    if request.engine != "local":
        raise ArgusError("a plan measures this machine: leave out --engine")
    claim(request.out, holds_caches, "caches")
    splits = open_splits(request, DataChecks(request.accept_faults))
    for name, split in zip(request.splits, splits, strict=True):
        if len(split) == 0:
            raise ArgusError(f"split {name!r} of {request.data} has no images to cache")
    return splits


def _measure(request: CacheRequest, backbone: Backbone, work: Work) -> tuple[Machine, list[Forecast]]:
    spec, batch = work.specs[0], request.batch or batch_size([], backbone.device)
    sample = _sample(work.splits[0], batch * (BATCHES[1] + 1), request.skip_bad)
    free = free_bytes(request.out) or 0
    with _scratch(request.out) as folder, ProgressBar("measure", 2 + len(work.dtypes), "parts") as bar:
        disk = measure_disk(folder, max(min(FILE_BYTES, free // 4), 1 << 20))
        bar.advance(note="disk")
        passes = measure_passes(backbone, sample, spec, batch, folder)
        bar.advance(note="backbone")
        memory = round(MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        machine, forecasts = Machine(disk, passes, free, memory), []
        for dtype in work.dtypes:
            own = measure_dtype(backbone, sample, replace(spec, dtype=dtype), batch, folder)
            forecasts.append(machine.forecast(work, dtype, own))
            bar.advance(note=dtype)
    return machine, forecasts


def _sample(split: Split, images: int, skip_bad: bool) -> Split:
    """Some images of a split, drawn from all of it; unreadable ones are passed over with ``skip_bad``."""
    drawn = np.random.default_rng(0).permutation(len(split))[:images].tolist()
    chosen = [index for index in drawn if not skip_bad or _readable(split, index)]
    if not chosen:
        raise ArgusError(f"none of the {counted(len(drawn), 'image')} that were tried of {split.name} can be read")
    return Part(split.name, split, chosen)


def _readable(split: Split, index: int) -> bool:
    try:
        split.read(index)
    except ArgusError:
        return False
    return True


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A hidden folder on the disk of ``out``, which is removed at the end."""
    nearest = next(place for place in (out, *out.absolute().parents) if place.is_dir())
    with tempfile.TemporaryDirectory(prefix=".argus-plan-", dir=nearest) as folder:
        yield Path(folder)


def show_plan(plan: CachePlan) -> None:
    """Print a plan."""
    machine, (train, *_) = plan.machine, plan.images
    disk, passes = machine.disk, machine.passes
    print(f"{', '.join(f'{count:,} images of {name}' for name, count in plan.images.items())} on {plan.what}")
    print(
        f"a pass of {plan.backbone} on {plan.device}: {_seconds(passes.live)} live, {_seconds(passes.cached)} in "
        f"caching, decoding included ({counted(passes.images, 'image')} of {train})"
    )
    how = "still in memory: the disk's own rate is unknown" if disk.from_memory else "dropped from memory before"
    print(
        f"the disk writes {_bytes(disk.write)}/s, checksum and flush included, and reads {_bytes(disk.read)}/s "
        f"(a file of {_bytes(disk.size)}, {how}); {_bytes(machine.free)} are free"
    )
    print(f"an epoch takes every image of {train} once; live it takes {_seconds(plan.live_epoch_seconds)}")
    console = Console()
    console.print(_table(plan), width=max(console.width, WIDTH))
    print(f"{plan.recommended or 'no cache'}: {plan.because}")
    if plan.recommended:
        print(f"next: {plan.command}")


def _table(plan: CachePlan) -> Table:
    table = Table("", "an image", "in all", "to cache", "an epoch", "pays from", "fits into", box=None)
    for each in plan.forecasts:
        fits = "memory" if each.fits_memory and each.fits_disk else "the disk" if each.fits_disk else "nothing here"
        pays = "never" if each.break_even is None else f"epoch {each.break_even}"
        sizes = _bytes(each.bytes_per_image), _bytes(each.bytes)
        table.add_row(each.dtype, *sizes, _seconds(each.cache_seconds), _seconds(each.epoch_seconds), pays, fits)
    return table


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else duration(seconds)


def _bytes(count: float) -> str:
    """Three digits and a decimal unit."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
