"""Beginning a cache: its manifest, and with principal components these, of which all writers take the first."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argus_core.cache.basis import Bases, bases_bytes, bases_path, read_bases
from argus_core.cache.claims import Claims
from argus_core.cache.manifest import Manifest, holds_cache
from argus_core.cache.survey import Survey
from argus_core.common.dtypes import parse_dtype
from argus_core.common.files import write_atomic
from argus_core.errors import ArgusError

OWN = ("format", "norm", "views", "images", "keys")
"""Fields of the fingerprint in which caches that share a basis may differ."""


@dataclass(frozen=True)
class BasisMaker:
    """Where a cache of a split gets its bases: from the first of ``caches`` that has some of its tokens, or ``fit``."""

    caches: Sequence[Path]
    fit: Callable[[], Bases]
    split: str

    def make(self, planned: Manifest, sha256: str = "") -> tuple[Mapping[str, Any], bytes]:
        """The manifest's record of the bases, and the content of their file; ``sha256`` is the one that is wanted."""
        for path, record in self._there(planned):
            if not sha256 or record["sha256"] == sha256:
                return record, bases_bytes(read_bases(path, record["sha256"]))
        content = bases_bytes(self.fit())
        return {"sha256": hashlib.sha256(content).hexdigest(), "split": self.split}, content

    def _there(self, planned: Manifest) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """The caches of the same tokens that have their bases."""
        for path in filter(holds_cache, self.caches):
            other = Manifest.read(path)
            same = other.basis is not None and _shared(other) == _shared(planned)
            if same and other.basis and bases_path(path, other.basis["sha256"]).exists():
                yield path, other.basis


def _shared(manifest: Manifest) -> dict[str, Any]:
    return {field: value for field, value in manifest.fingerprint.items() if field not in OWN}


def begin(path: Path, planned: Manifest, claims: Claims, maker: BasisMaker) -> Manifest:
    """The manifest of the cache at ``path``, which is written unless there is one already.

    With components one process fits them while others wait. If two do, as after one of them slept, the manifest that
    is there first decides whose are used.
    """
    if parse_dtype(planned.spec.dtype).components is None:
        return Manifest.read(path) if holds_cache(path) else planned.begin(path)
    number = len(planned.shards) + 1  # its claim is numbered behind that of the index
    while not holds_cache(path):
        if not claims.take(number, Survey.of(path).claims.get(number)):
            time.sleep(min(claims.seconds / 8, 1.0))
            continue
        if not holds_cache(path):  # since the last look
            record, content = maker.make(planned)
            _write(path, record["sha256"], content)
            replace(planned, basis=record).begin(path)
        claims.release(number)
    return Manifest.read(path)


def restore(path: Path, manifest: Manifest, maker: BasisMaker) -> Bases:
    """The bases of the cache at ``path``, none without components; their file is written again if it is gone.

    Raises ArgusError if it is damaged, or if the components would differ. Files of bases that are not used go.
    """
    if manifest.basis is None:
        return {}
    sha256 = manifest.basis["sha256"]
    file = bases_path(path, sha256)
    for other in path.iterdir():
        if other.name.startswith("basis.") and other.name != file.name:
            other.unlink(missing_ok=True)
    if not file.exists():
        record, content = maker.make(manifest, sha256)
        if record["sha256"] != sha256:
            raise ArgusError(
                f"{file} is missing, and fitted again the components differ, as on another device; "
                "copy the file from a backup, or cache again in another directory"
            )
        _write(path, sha256, content)
    return read_bases(path, sha256)


def _write(path: Path, sha256: str, content: bytes) -> None:
    write_atomic(bases_path(path, sha256), lambda to: to.write_bytes(content))
