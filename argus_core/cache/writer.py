"""Writing a cache; an interrupted run can be continued and gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import PIL
import torch
from safetensors.torch import save

from argus_core.backbones.base import Backbone, check_grid
from argus_core.cache.job import Job, Meter, Report, render_image
from argus_core.cache.manifest import Manifest, check_images, is_done, read_shard_record
from argus_core.cache.spec import FORMAT, CacheSpec, check_matches, fingerprint
from argus_core.cache.verify import check_space, estimate, image_bytes
from argus_core.common.files import write_atomic
from argus_core.common.folders import claim
from argus_core.common.license import find_license
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, FinalNorm

SHARD_BYTES = 64 << 20
CPU_BATCH, GPU_BATCH = 8, 32
UNFINISHED_FILE = re.compile(r"\.(manifest\.json|norm\.safetensors)\.\d+\.tmp")
UNFINISHED_SHARD = re.compile(r"\.\d{5,}\.(safetensors|json)\.\d+\.tmp|\.tmp[A-Za-z0-9]{6}")
"""Names of files while they are being written."""


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
) -> None:
    """Write, or finish, the cache of ``split`` at ``path``; the bytes do not depend on interruptions.

    ``expected`` is the result of ``estimate`` for this split, if it is known already. ``batch`` images (each with all
    views) share a forward pass; about two shards are kept in memory. Raises ArgusError, naming the cause, if the
    directory holds another cache, the disk is too small, an image is unreadable (unless ``skip_bad``) or a token does
    not fit the number format; finished shards are kept.
    """
    path, spec = Path(path), spec.resolve(backbone.info)
    planned = _plan(backbone, split, spec, batch, shard_bytes, _version(path))
    claim(path, holds_cache, "cache", "cache in another directory")
    path.mkdir(parents=True, exist_ok=True)
    with _only_writer(path):
        manifest = _begin(path, planned, backbone.norm)
        todo = _unfinished(path, split, manifest)
        left = sum(len(manifest.shards[number]) for number in todo)
        if todo:
            whole = estimate(split, backbone.info, spec) if expected is None else expected
            check_space(path, round(whole * left / len(split)))
        meter = Meter(len(split) - left, len(split), report or (lambda *_: None))
        job = Job(path, backbone, manifest, spec)
        job.run(todo, partial(render_image, split, spec, skip_bad), threads, meter)


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


def _begin(path: Path, planned: Manifest, norm: FinalNorm | None) -> Manifest:
    """The existing manifest, if it matches the planned one; else write the planned one."""
    if not (path / "manifest.json").exists():
        planned.write(path)
    manifest = Manifest.read(path)
    check_matches(path, manifest.fingerprint, planned.fingerprint, exact=True)
    check_matches(path, manifest.layout, planned.layout, exact=True)
    (path / "shards").mkdir(exist_ok=True)
    _clear(path)
    if norm is not None and not (path / "norm.safetensors").exists():
        write_atomic(path / "norm.safetensors", lambda temporary: temporary.write_bytes(_norm_bytes(norm)))
    return manifest


def holds_cache(path: Path) -> bool:
    """Whether there is a cache, finished or not."""
    return (path / "manifest.json").is_file()


def _clear(path: Path) -> None:
    """Remove the half-written files of a killed run: its own, and the temporary files of safetensors."""
    for folder, pattern in ((path, UNFINISHED_FILE), (path / "shards", UNFINISHED_SHARD)):
        for file in folder.iterdir():
            if pattern.fullmatch(file.name) and file.is_file() and not file.is_symlink():
                file.unlink()


def _norm_bytes(norm: FinalNorm) -> bytes:
    return save({"weight": norm.weight.cpu().contiguous(), "bias": norm.bias.cpu().contiguous()})


def _norm_record(norm: FinalNorm) -> dict[str, Any]:
    digest = hashlib.sha256(_norm_bytes(norm)).hexdigest()
    return {"sha256": digest, "eps": norm.eps, "layers": list(norm.layers)}


def _unfinished(path: Path, split: Split, manifest: Manifest) -> list[int]:
    """The shards that are not yet written; raises ArgusError if images of the others have changed."""
    todo = []
    for number, images in enumerate(manifest.shards):
        if is_done(path, number):
            check_images(path, split, images.start, read_shard_record(path, number, manifest).images)
        else:
            todo.append(number)
    return todo


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Lock the directory; the system unlocks it even if the process is killed."""
    import fcntl  # not on every system, and only needed to write; unlike filelock it leaves no file behind

    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArgusError(f"another process is writing the cache {path}; wait for it or stop it") from error
        yield
    finally:
        os.close(descriptor)
