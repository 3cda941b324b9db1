"""A complete cache, opened: its records, and whether it fits a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load

from argus_core.cache.basis import Bases, read_bases
from argus_core.cache.index import Index, collect, read_index
from argus_core.cache.manifest import Manifest
from argus_core.cache.seal import read_records
from argus_core.cache.sidecar import check_images
from argus_core.cache.spec import check_matches
from argus_core.common.files import file_sha256
from argus_core.common.places import place
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, FinalNorm, Needs


@dataclass(frozen=True)
class Cache:
    """A complete, opened cache; ``CacheSource`` reads its tokens. Records of ``images`` are read when asked for."""

    path: Path
    manifest: Manifest
    images: Index

    @classmethod
    def open(cls, path: str | Path, expect: Mapping[str, Any] | None = None) -> Cache:
        """Open a cache; raises ArgusError naming the first field of ``expect`` (see ``fingerprint``) that differs.

        Of a sealed cache the index alone is opened; a shard that is missing or too short is found when it is read. Of
        others all sidecars are read; raises ArgusError if shards are missing, too short or of another cache. Tokens
        are not read: see ``verify``.
        """
        path = place(path)
        manifest = Manifest.read(path)
        check_matches(path, manifest.fingerprint, expect or {})
        return cls(path, manifest, read_index(path, manifest) or collect(manifest, read_records(path, manifest)))

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return int(self.images.shard_bytes.sum())

    @property
    def id(self) -> str:
        """sha256 (hex) of the fingerprint and of every image's bytes, for records of results."""
        return self.images.id

    @property
    def skipped(self) -> dict[int, str]:
        """Why images were left out, by index."""
        return self.images.skipped

    @property
    def devices(self) -> tuple[str, ...]:
        """The kinds of device that computed the tokens; of one kind, the bytes are those of one process."""
        return self.images.devices

    def check_images(self, split: Split) -> None:
        """Raise ArgusError naming the first image of ``split`` whose key or bytes differ from the cached ones."""
        check_matches(self.path, self.manifest.fingerprint, {"images": len(split)})
        check_images(self.path, split, 0, self.images)

    def require(self, needs: Needs) -> None:
        """Raise ArgusError naming the first part of ``needs`` that the cache does not hold."""
        needs = needs.resolve(self.info())
        wanted = {"layers": list(needs.layers), "maps": needs.maps, "cls": needs.cls}
        check_matches(self.path, self.manifest.fingerprint, wanted)

    def norm(self) -> FinalNorm | None:
        """The backbone's final norm, which is not yet applied to the stored tokens."""
        record = self.manifest.norm
        if record is None:
            return None
        file = self.path / "norm.safetensors"
        if not file.exists() or file_sha256(file) != record["sha256"]:
            raise ArgusError(f"{file}: missing or damaged; delete it and run the same caching again")
        tensors = load(file.read_bytes())
        return FinalNorm(tensors["weight"], tensors["bias"], record["eps"], tuple(record["layers"]))

    def bases(self) -> Bases:
        """What stored numbers are coefficients of, by the name of the stored tensor; none without components."""
        record = self.manifest.basis
        return {} if record is None else read_bases(self.path, record["sha256"])

    def info(self) -> FeatureInfo:
        """The backbone's channels and strides."""
        return FeatureInfo.from_dict(self.manifest.info)
