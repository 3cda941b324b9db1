"""Sealing a cache: checking that every shard is there, and writing the index of all records."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path

from argus_core.cache.claims import Claims
from argus_core.cache.index import is_sealed, write_index
from argus_core.cache.manifest import Manifest
from argus_core.cache.sidecar import Shard, read_sidecar
from argus_core.cache.survey import Survey, tidy
from argus_core.errors import ArgusError, counted


def read_records(path: Path, manifest: Manifest) -> Iterator[Shard]:
    """The records of all shards, from their sidecars; raises ArgusError if one is missing or has another length."""
    total, survey = len(manifest.shards), Survey.of(path)
    if missing := [number for number in range(total) if number not in survey.done]:
        raise unfinished(path, total, missing, survey)
    return (read_sidecar(path, number, manifest) for number in range(total))


def seal(path: Path, abandoned: Collection[str] = ()) -> None:
    """Write the index of the cache at ``path``; raises ArgusError if a shard is missing or has another length.

    What killed writers left is removed: those that ended on this machine, and the ``abandoned`` ones.
    """
    tidy(path, abandoned)
    manifest = Manifest.read(path)
    write_index(path, manifest, read_records(path, manifest))


def seal_once(path: Path, manifest: Manifest, claims: Claims) -> None:
    """Seal a cache of which every shard is written, or wait until another process has."""
    number = len(manifest.shards)  # its claim is numbered as one more shard
    while not is_sealed(path):
        if claims.take(number, Survey.of(path).claims.get(number)):
            seal(path, claims.abandoned)
            claims.release(number)
        else:
            time.sleep(min(claims.seconds / 8, 1.0))


def unfinished(path: Path, total: int, missing: list[int], survey: Survey) -> ArgusError:
    """The error for a cache that lacks shards."""
    which = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    at_work = len(survey.claims.keys() & set(missing))
    claimed = f"; {counted(at_work, 'process')} may still be at work" if at_work else ""
    return ArgusError(
        f"the cache {path} is unfinished, {total - len(missing)} of {total} shards (not {which}){claimed}; "
        "run the same caching again"
    )
