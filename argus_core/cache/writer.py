"""Writing a cache; an interrupted run can be continued and gives the same bytes."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import PIL
import torch
from safetensors.torch import save

from argus_core.backbones.base import Backbone, check_grid
from argus_core.cache.basis import Bases
from argus_core.cache.begin import BasisMaker, begin, restore
from argus_core.cache.claims import Claims
from argus_core.cache.estimate import check_space, estimate, image_bytes
from argus_core.cache.fit import fit_bases
from argus_core.cache.index import is_sealed, read_index, unseal
from argus_core.cache.job import Job, RenderedImage, render_image
from argus_core.cache.manifest import Manifest, holds_cache, is_begun
from argus_core.cache.schedule import Meter, Note, Report, Schedule
from argus_core.cache.seal import seal_once
from argus_core.cache.sidecar import check_images, read_sidecar
from argus_core.cache.spec import FORMAT, CacheSpec, check_matches, fingerprint
from argus_core.cache.survey import tidy
from argus_core.common.device import kind_of
from argus_core.common.files import write_atomic
from argus_core.common.folders import claim
from argus_core.common.license import find_license
from argus_core.common.part import Part
from argus_core.common.places import place
from argus_core.data import Split
from argus_core.errors import ArgusError, counted
from argus_core.tokens import FeatureInfo, FinalNorm

SHARD_BYTES = 64 << 20
CPU_BATCH, GPU_BATCH = 8, 32


def write_cache(
    path: str | Path,
    backbone: Backbone,
    split: Split,
    spec: CacheSpec,
    *,
    batch: int = CPU_BATCH,
    shard_bytes: int = SHARD_BYTES,
    skip_bad: bool = False,
    expected: int | None = None,
    threads: int = 4,
    report: Report | None = None,
    note: Note | None = None,
    part: Part | None = None,
    claim_seconds: float | None = None,
    share: Sequence[Path] = (),
) -> None:
    """Write, or finish, the cache of ``split`` at ``path``; the bytes do not depend on interruptions.

    Any number of processes may write it at the same time, on a file system that they share: each begins with the
    shards of its ``part``, then helps the others, and returns when all are written and the cache is sealed. What
    another process claimed is left to it, unless it ended or was silent for ``claim_seconds`` (of that process; default
    120, or ARGUS_CLAIM_SECONDS).

    ``expected`` is the result of ``estimate`` for this split, if it is known already. ``batch`` images (each with all
    views) share a forward pass; about two shards are kept in memory. Principal components are those of the first cache
    of ``share`` that holds some of the same tokens, else they are fitted on a sample of the images. Raises ArgusError,
    naming the cause, if the directory holds another cache, the disk is too small, an image is unreadable (unless
    ``skip_bad``) or a token does not fit the number format; finished shards are kept.
    """
    path, spec, part = place(path), spec.resolve(backbone.info), part or Part()
    planned = _plan(backbone, split, spec, batch, shard_bytes, _version(path))
    claim(path, lambda path: holds_cache(path) or is_begun(path), "cache", "cache in another directory")
    read = partial(render_image, split, spec, skip_bad)
    maker = BasisMaker(share, partial(_fit, backbone, planned, read, threads, report, note), split.name)
    try:
        (path / "shards").mkdir(parents=True, exist_ok=True)
        with Claims(path / "shards", claim_seconds) as claims:
            manifest, bases = _begin(path, planned, backbone, claims, maker)
            schedule = Schedule(path, manifest, part, claims)
            _check_finished(path, split, manifest, schedule)
            if schedule.left:
                whole = estimate(split, backbone.info, spec) if expected is None else expected
                check_space(path, round(whole * (1 - schedule.images_done / len(split))))
            meter = Meter(schedule, len(split), report, note)
            job = Job(path, backbone, manifest, spec, kind_of(backbone.device), bases)
            while schedule.left:
                job.run(schedule, read, threads, meter)
                _wait(schedule, meter)
            seal_once(path, manifest, claims)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ArgusError(
            f"{path}: {error.strerror}; free space and run the same caching again, what is done stays"
        ) from error


def _wait(schedule: Schedule, meter: Meter) -> None:
    """Let others finish what they are at; what they leave is available again."""
    if schedule.left:
        meter.show(f"waiting for {counted(schedule.left, 'shard')} of other processes")
        schedule.wait()


def batch_size(paths: Iterable[Path], device: torch.device) -> int:
    """How many images share a forward pass unless the user says: as in the first cache of ``paths``, else by device.

    On a CPU the time of an image hardly depends on it, and memory grows with it; a GPU is idle in small passes.
    """
    for path in filter(holds_cache, paths):
        return Manifest.read(path).layout["batch"]
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


def _version(path: Path) -> int:
    """The format of an existing cache, in which it is finished, else the newest."""
    return int(Manifest.read(path).fingerprint["format"]) if holds_cache(path) else FORMAT


def _plan(backbone: Backbone, split: Split, spec: CacheSpec, batch: int, shard_bytes: int, version: int) -> Manifest:
    if len(split) == 0:
        raise ArgusError("the split has no images to cache")
    if batch < 1:
        raise ArgusError(f"a batch of {batch} images is none; give 1 or more")
    _check_canvas(spec, backbone.info)
    per_shard = int(shard_bytes / image_bytes(backbone.info, spec, [spec.canvas.size], version))
    norm = backbone.norm
    return Manifest(
        {**fingerprint(backbone, split, spec), "format": version},
        {"batch": batch, "shard_images": max(per_shard // batch, 1) * batch},
        backbone.info.to_dict(),
        None if norm is None else _norm_record(norm),
        asdict(find_license(backbone.license)),
        {"torch": torch.__version__, "pillow": PIL.__version__},
    )


def _check_canvas(spec: CacheSpec, info: FeatureInfo) -> None:
    """Raise ArgusError unless the canvas, and its tiles, divide into cells."""
    canvas, strides = spec.canvas, [info.strides[layer] for layer in spec.needs.layers]
    if canvas.tiles and canvas.tiles.cut(canvas.size):
        strides = list(info.strides)
        canvas.tiles.check(max(strides))
    if spec.needs.maps:
        check_grid(canvas.size, max(strides))


def _begin(
    path: Path, planned: Manifest, backbone: Backbone, claims: Claims, maker: BasisMaker
) -> tuple[Manifest, Bases]:
    """The existing manifest, if it matches the planned one, else the planned one, which is written; and its bases."""
    manifest = begin(path, planned, claims, maker)
    check_matches(path, manifest.fingerprint, planned.fingerprint, exact=True)
    check_matches(path, manifest.layout, planned.layout, exact=True)
    tidy(path)
    norm = backbone.norm
    if norm is not None and not (path / "norm.safetensors").exists():
        write_atomic(path / "norm.safetensors", lambda temporary: temporary.write_bytes(_norm_bytes(norm)))
    return manifest, {name: basis.to(backbone.device) for name, basis in restore(path, manifest, maker).items()}


def _fit(
    backbone: Backbone,
    planned: Manifest,
    read: Callable[[int], RenderedImage],
    threads: int,
    report: Report | None,
    note: Note | None,
) -> Bases:
    """The bases of a cache; how far it is goes where progress goes, as a note, since no image is cached yet."""

    def progress(done: int, sample: int) -> None:
        if note:
            note(f"components of {done} of {counted(sample, 'image')}")
        if report:
            report(0, planned.fingerprint["images"], 0.0, float("inf"))

    return fit_bases(backbone, planned, read, threads, progress)


def _check_finished(path: Path, split: Split, manifest: Manifest, schedule: Schedule) -> None:
    """Raise ArgusError if images of the part's finished shards have changed, or a finished shard is gone."""
    survey = schedule.survey
    if is_sealed(path) and len(survey.done & survey.placed) < len(manifest.shards):
        unseal(path)
    index = read_index(path, manifest)
    for number in sorted(survey.done):
        images = manifest.shards[number]
        if number not in survey.placed or (index is None and schedule.part.holds(number)):
            check_images(path, split, images.start, read_sidecar(path, number, manifest).images)
        elif index is not None and schedule.part.holds(number):
            check_images(path, split, images.start, index[images.start : images.stop])


def _norm_bytes(norm: FinalNorm) -> bytes:
    return save({"weight": norm.weight.cpu().contiguous(), "bias": norm.bias.cpu().contiguous()})


def _norm_record(norm: FinalNorm) -> dict[str, Any]:
    digest = hashlib.sha256(_norm_bytes(norm)).hexdigest()
    return {"sha256": digest, "eps": norm.eps, "layers": list(norm.layers)}
