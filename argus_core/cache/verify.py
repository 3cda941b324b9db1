"""Looking at a cache as a whole: whether every byte is what was written, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argus_core.cache.manifest import Manifest, is_done, read_shard_record, shard_path
from argus_core.errors import ArgusError
from argus_core.files import file_sha256


def verify(path: str | Path) -> list[str]:
    """Everything wrong with the cache at ``path``, one line per file; finds any changed byte.

    A damaged manifest is reported alone, for the rest cannot be judged without it.
    """
    path = Path(path)
    try:
        manifest = Manifest.read(path)
    except ArgusError as error:
        return [str(error)]
    norm = path / "norm.safetensors"
    faults = [] if manifest.norm is None else list(_differs(norm, manifest.norm["sha256"]))
    for number in range(len(manifest.shards)):
        try:
            shard = read_shard_record(path, number, manifest)
            faults += _differs(shard_path(path, number), shard.sha256)
        except ArgusError as error:
            faults.append(str(error))
    return faults


def info(path: str | Path) -> dict[str, Any]:
    """What the cache at ``path`` holds and under which terms, as plain JSON values; it may be unfinished."""
    path = Path(path)
    manifest = Manifest.read(path)
    done = [number for number in range(len(manifest.shards)) if is_done(path, number)]
    shards = [read_shard_record(path, number, manifest) for number in done]
    images = [image for shard in shards for image in shard.images]
    return {
        **manifest.fingerprint,
        **manifest.layout,
        "license": manifest.license,
        "made_with": manifest.made_with,
        "shards": len(manifest.shards),
        "shards_done": len(done),
        "images_done": len(images),
        "bytes": sum(shard.bytes for shard in shards),
        "skipped": {image.key: image.skipped for image in images if image.skipped},
    }


def _differs(file: Path, sha256: str) -> Iterator[str]:
    if not file.exists():
        yield f"{file}: missing"
    elif file_sha256(file) != sha256:
        remedy = "delete it, and a shard's .json, and run the same caching again"
        yield f"{file}: damaged, its sha256 is not the recorded one; {remedy}"
