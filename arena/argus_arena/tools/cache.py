"""Build, describe and verify caches, and check data sets."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus_arena.engines.site import JOBS
from argus_arena.requests import CacheRequest
from argus_arena.run.data_faults import DataChecks, sizes_of
from argus_arena.run.sources import backbone_record, find_tiles, read_backbone
from argus_core.cache import Cache, CacheSpec, estimate, info, verify, write_cache
from argus_core.cache.manifest import is_begun
from argus_core.cache.seal import seal
from argus_core.cache.writer import batch_size
from argus_core.canvas import Canvas
from argus_core.common.device import find_device
from argus_core.common.files import read_sealed, write_sealed
from argus_core.common.folders import claim, free_bytes
from argus_core.common.license import find_license, require
from argus_core.common.options import parse_size
from argus_core.common.part import Part, find_part
from argus_core.common.progress import ProgressBar, duration, finished
from argus_core.data import Split
from argus_core.data import check as data_check
from argus_core.errors import ArgusError, counted
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.protocols import find_protocol
from argus_core.tokens import Needs

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


SHOWN = 20
"""Faults of one kind that `arena data check` lists."""


def build_cache(request: CacheRequest) -> None:
    """Write, or finish, one cache per split below ``request.out``, or this process's part of them.

    Several processes may do so at the same time; each returns when all shards are written. Views other than ``id``
    are cached for the first split, and for all if a protocol looks at them.
    """
    began = time.perf_counter()
    part, source = find_part(request.part, os.environ)
    if source:
        print(f"{part}, from {source}")
    claim(request.out, holds_caches, "caches")
    checks = DataChecks(request.accept_faults)
    splits = open_splits(request, checks)
    backbone = open_backbone(request)
    record = backbone_record(backbone)
    _check_same_backbone(request.out / "backbone.json", record)
    for name, split, spec in zip(request.splits, splits, specs_of(request), strict=True):
        _write_split(request, backbone, split, spec, request.out / name, part)
    _check_same_backbone(request.out / "backbone.json", record)  # again: another process may have written meanwhile
    write_sealed(request.out / "backbone.json", {**record, "splits": list(request.splits), "data": request.data})
    for split, name in zip(splits, request.splits, strict=True):  # all sizes are known now
        checks.check(split, (), sizes_of(split, Cache.open(request.out / name)), learning=False)
    finished("cached tokens", request.out, time.perf_counter() - began)
    print(f"next: arena train --head HEAD --data {request.data} --cache {request.out}; `arena heads` lists them")


def open_splits(request: CacheRequest, checks: DataChecks) -> list[Split]:
    """The splits of a request; raises ArgusError for faults that would make caching useless."""
    data = open_data(request.data, load_plugins())
    splits = [split_of(data, name) for name in request.splits]
    for split in splits:  # caching learns nothing from them
        checks.check(split, split.tasks, sizes_of(split), learning=False)
    return splits


def open_backbone(request: CacheRequest) -> Backbone:
    """The backbone of a request; raises ArgusError for terms that it does not allow."""
    from argus_core.backbones import load_backbone  # imports timm, which the other commands here do without

    device = find_device(request.device)
    backbone = load_backbone(request.backbone, request.weights, device, request.compile, **request.backbone_options)
    require({"backbone": find_license(backbone.license)}, request.require_license)
    return backbone


def specs_of(request: CacheRequest) -> list[CacheSpec]:
    """What is stored of each split."""
    needs = Needs(request.layers, maps=request.maps, cls=request.cls)
    framings = [_framing(request, first=number == 0) for number in range(len(request.splits))]
    return [CacheSpec(canvas, needs, views, request.dtype) for canvas, views in framings]


def _write_split(
    request: CacheRequest, backbone: Backbone, split: Split, spec: CacheSpec, out: Path, part: Part
) -> None:
    size, free = estimate(split, backbone.info, spec), free_bytes(request.out)
    batch = request.batch or batch_size([out, *(request.out / name for name in request.splits)], backbone.device)
    what = f"{counted(len(split), 'image')} on {spec.canvas.label}, views {','.join(spec.views)}, {batch} in a pass"
    with ProgressBar(f"cache {split.name}", len(split)) as bar:
        of = "" if free is None else f" of {free / 1e9:.3g} GB free"
        bar.print(f"{split.name}: {what}, about {size / 1e9:.2f} GB{of}")
        if left_out := split.left_out():
            bar.print(f"{split.name}: passed over {left_out}")
        began, notes = time.perf_counter(), [""]
        write_cache(
            out,
            backbone,
            split,
            spec,
            batch=batch,
            skip_bad=request.skip_bad,
            expected=size,
            report=lambda done, total, rate, left: bar.update(done, notes[-1], total),
            note=notes.append,
            part=part,
            share=[path for path in _caches_in(request.out) if path != out],
        )
        bar.print(f"{split.name}: cached in {duration(time.perf_counter() - began)}")
        cache = Cache.open(out)
        for index, reason in cache.skipped.items():
            bar.print(f"skipped image {index}: {reason}")
        if len(cache.devices) > 1:
            bar.print(f"{split.name}: computed by several kinds of device, which differ: {'; '.join(cache.devices)}")


def _framing(request: CacheRequest, first: bool) -> tuple[Canvas, tuple[str, ...]]:
    """Canvas and views of a split's cache."""
    views = request.views if first else ("id",)
    tiles = find_tiles(request.tiles, request.overlap, request.protocol)
    if request.protocol is None:
        height, width = parse_size(request.canvas)
        return Canvas(height, width, request.fit, request.interpolation, request.short, tiles=tiles), views
    protocol = find_protocol(request.protocol)
    if protocol.canvas is None:
        raise ArgusError(f"protocol {protocol.name!r} takes several or differing canvases; it cannot be cached")
    return protocol.canvas, tuple(dict.fromkeys((*views, *protocol.views)))


def holds_caches(folder: Path) -> bool:
    """Whether caches were written below a folder, or begun; by another process perhaps just now."""
    if any(file.is_file() for file in (folder / "backbone.json", *folder.glob("*/manifest.json"))):
        return True
    visible = [entry for entry in folder.iterdir() if entry.name[0] != "." and entry.name != JOBS]
    return all(entry.is_dir() and is_begun(entry) for entry in visible)


def seal_caches(folder: Path) -> None:
    """Check that all shards of the caches below a folder are written, and write the index of each."""
    for path in caches_below(folder):
        began = time.perf_counter()
        seal(path)
        finished("sealed", path, time.perf_counter() - began)


def caches_below(folder: Path) -> list[Path]:
    """``folder`` itself if it is a cache, else the caches in it."""
    if (folder / "manifest.json").exists():
        return [folder]
    caches = _caches_in(folder)
    if not caches:
        raise ArgusError(f"{folder} holds no cache; write one with `arena cache --out {folder}`")
    return caches


def _caches_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/manifest.json"))


def cache_info(folder: Path) -> dict[str, Any]:
    """What the caches below ``folder`` hold, by name."""
    return {path.name: info(path) for path in caches_below(folder)}


def verify_cache(folder: Path) -> list[str]:
    """Every fault of the caches below ``folder``."""
    faults = [fault for path in caches_below(folder) for fault in verify(path)]
    if (folder / "manifest.json").exists():
        return faults
    try:
        splits = read_backbone(folder)["splits"]
    except ArgusError as error:
        return [*faults, str(error)]
    return faults + [f"{folder / split}: missing" for split in splits if not (folder / split).is_dir()]


def check_data(spec: str) -> int:
    """Print the faults and counts of every split; returns the number of faults."""
    data = open_data(spec, load_plugins())
    reports = data_check.check_data(data)
    for name, report in reports.items():
        print(f"{name}: " + ", ".join(f"{key} {_shown(value)}" for key, value in report.summary.items()))
        if left_out := data[name].left_out():
            print(f"  passed over: {left_out}")
        for finding in data_check.findings(name, report.faults):
            print(f"  {'refused' if finding.wrong else 'doubtful'}: {finding.what}")
            for fault in finding.faults[:SHOWN] if len(finding.faults) > 1 else []:
                print(f"    {fault}")
        for remark in report.remarks:
            print(f"  {remark}")
    total = sum(len(report.faults) for report in reports.values())
    print(counted(total, "fault") if total else "no faults")
    return total


def _shown(value: Any) -> str:
    """A count, a share or several of them, as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(part)}" for key, part in value.items()) + "}"
    return str(value)


def _check_same_backbone(file: Path, record: dict[str, Any]) -> None:
    """One folder holds the splits of one backbone, since one file says how to load it."""
    if file.exists() and read_sealed(file)["sha256"] != record["sha256"]:
        raise ArgusError(f"{file.parent} holds caches of other weights; choose another --out")
