"""The integrity of a cache, and its contents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argus_core.cache.basis import bases_path
from argus_core.cache.index import Index, collect, index_file, is_sealed, read_index, read_index_head
from argus_core.cache.manifest import Manifest
from argus_core.cache.seal import unfinished
from argus_core.cache.sidecar import read_sidecar, shard_path
from argus_core.cache.survey import Survey
from argus_core.common.files import file_sha256
from argus_core.common.places import place
from argus_core.errors import ArgusError


def verify(path: str | Path) -> list[str]:
    """Everything wrong with the cache at ``path``, one line per file and one for shards that are not written.

    Finds any changed byte. A damaged manifest is reported alone, because the rest cannot be checked without it.
    """
    path = place(path)
    try:
        manifest = Manifest.read(path)
    except ArgusError as error:
        return [str(error)]
    norm = path / "norm.safetensors"
    faults = [] if manifest.norm is None else list(_differs(norm, manifest.norm["sha256"]))
    if manifest.basis is not None:
        faults += _differs(bases_path(path, manifest.basis["sha256"]), manifest.basis["sha256"])
    index, faults_of_index = _checked_index(path, manifest)
    faults += faults_of_index
    total, survey = len(manifest.shards), Survey.of(path)
    if missing := [number for number in range(total) if number not in survey.done]:
        faults.append(str(unfinished(path, total, missing, survey)))
    for number in sorted(survey.done):
        try:
            shard = read_sidecar(path, number, manifest)
            faults += _differs(shard_path(path, number), shard.sha256)
            if index is not None and index.shard_sha256(number) != shard.sha256:
                faults.append(f"{index.path}: was written for another shard {number}; run `arena cache --seal` again")
        except ArgusError as error:
            faults.append(str(error))
    return faults


def info(path: str | Path) -> dict[str, Any]:
    """Contents and licence of the cache at ``path``, which may be unfinished, as plain JSON values.

    ``devices`` counts the shards that each kind of device computed: of one kind, the bytes are those of one process.
    """
    path = place(path)
    manifest = Manifest.read(path)
    index = read_index(path, manifest)
    if index is None:
        done = sorted(Survey.of(path).done)
        index = collect(manifest, (read_sidecar(path, number, manifest) for number in done))
    return {
        **manifest.fingerprint,
        **manifest.layout,
        **({} if manifest.basis is None else {"basis": manifest.basis}),
        "license": manifest.license,
        "made_with": manifest.made_with,
        "devices": index.shards_by_device,
        "shards": len(manifest.shards),
        "shards_done": len(index.shard_bytes),
        "images_done": len(index),
        "sealed": index.path is not None,
        "bytes": int(index.shard_bytes.sum()),
        "skipped": {index[number].key: reason for number, reason in index.skipped.items()},
    }


def _checked_index(path: Path, manifest: Manifest) -> tuple[Index | None, list[str]]:
    """The index, if there is one and its bytes are those that were written, and what is wrong with it."""
    try:
        faults = list(_differs(index_file(path), read_index_head(path)["sha256"])) if is_sealed(path) else []
        return (None if faults else read_index(path, manifest)), faults
    except ArgusError as error:
        return None, [str(error)]


def _differs(file: Path, sha256: str) -> Iterator[str]:
    if not file.exists():
        yield f"{file}: missing"
    elif file_sha256(file) != sha256:
        yield (
            f"{file}: damaged, its sha256 is not the recorded one; "
            "delete it, and the .json of a shard or an index, and run the same caching again"
        )
