"""The record of a whole cache: what it holds and how it is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from argus_core.cache.shard import prefix_rows
from argus_core.cache.spec import READABLE, CacheSpec
from argus_core.canvas import Canvas
from argus_core.common.files import create_exclusive, json_sha256, read_sealed, sealed
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, Needs


@dataclass(frozen=True)
class Manifest:
    """The record of a whole cache; ``layout`` fixes which images share a shard and a forward pass."""

    fingerprint: Mapping[str, Any]
    layout: Mapping[str, int]
    info: Mapping[str, object]
    norm: Mapping[str, Any] | None
    license: Mapping[str, Any]
    made_with: Mapping[str, str]
    basis: Mapping[str, Any] | None = None
    """Of caches of principal components the sha256 of their file, and which ``split`` they were fitted on."""

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest of the cache at ``path``; raises ArgusError if there is none of this format."""
        values = read_sealed(path / "manifest.json")
        if (version := values["fingerprint"]["format"]) not in READABLE:
            readable = " and ".join(map(str, READABLE))
            raise ArgusError(
                f"the cache {path} is of format {version}, this version of Argus reads {readable}; "
                "use the version that wrote it, or cache again in another directory"
            )
        return cls(**values)

    def begin(self, path: Path) -> Manifest:
        """Write it to the cache at ``path`` unless there is one already; returns the one that is there."""
        values = asdict(self)
        if self.basis is None:
            del values["basis"]  # so that other caches are as they always were
        create_exclusive(path / "manifest.json", sealed(values))
        return self.read(path)

    @cached_property
    def id(self) -> str:
        """sha256 (hex) that every shard's record repeats."""
        return json_sha256([self.identity, self.layout, self.norm])

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the tokens depend on besides the images: the fingerprint, and the sha256 of components."""
        return self.fingerprint if self.basis is None else {**self.fingerprint, "basis": self.basis["sha256"]}

    @property
    def spec(self) -> CacheSpec:
        """What is stored of every image."""
        fields = self.fingerprint
        names = ("height", "width", "fit", "interpolation", "short", "tiles")
        canvas = Canvas(**{name: fields[name] for name in names if name in fields})
        needs = Needs(tuple(fields["layers"]), maps=fields["maps"], cls=fields["cls"])
        return CacheSpec(canvas, needs, tuple(fields["views"]), fields["dtype"])

    @property
    def prefix_rows(self) -> int:
        """The number of tokens before the patches that are stored of each pass."""
        return prefix_rows(FeatureInfo.from_dict(self.info), self.fingerprint["format"])

    @cached_property
    def shards(self) -> Shards:
        """The image indices of each shard."""
        return Shards(self.fingerprint["images"], self.layout["shard_images"])


@dataclass(frozen=True)
class Shards:
    """The image indices of each shard, by the shard's number."""

    images: int
    step: int

    def __len__(self) -> int:
        return -(-self.images // self.step)

    def __getitem__(self, number: int) -> range:
        if not 0 <= number < len(self):
            raise IndexError(f"shard {number} of {len(self)}")
        return range(number * self.step, min((number + 1) * self.step, self.images))


def holds_cache(path: Path) -> bool:
    """Whether there is a cache, finished or not."""
    return (path / "manifest.json").is_file()


def is_begun(path: Path) -> bool:
    """Whether there is nothing but what comes before a manifest, such as components that are being fitted."""
    visible = [entry for entry in path.iterdir() if entry.name[0] != "."]
    rest = [entry for entry in visible if not entry.name.startswith("basis.")]
    return all(entry.name == "shards" and _is_claimed(entry) for entry in rest)


def _is_claimed(shards: Path) -> bool:
    """Whether there is nothing but claims."""
    return shards.is_dir() and all(file.name[0] == "." or file.suffix == ".claim" for file in shards.iterdir())
