"""The records of a cache: what it holds, of which images, and whether that fits a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors.torch import load_file

from argus_core.cache.shard import prefix_rows
from argus_core.cache.spec import READABLE, CacheSpec, check_matches
from argus_core.canvas import Canvas
from argus_core.common.files import file_sha256, json_sha256, read_sealed, write_sealed
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, FinalNorm, Needs


@dataclass(frozen=True)
class ImageRecord:
    """One cached image. ``skipped`` is why it was left out; it then has neither size nor extent."""

    key: str
    stamp: str
    sha256: str
    size: tuple[int, int] = (0, 0)
    extent: tuple[int, int] = (0, 0)
    skipped: str = ""


@dataclass(frozen=True)
class Shard:
    """The record of a shard, in a JSON file beside it."""

    sha256: str
    bytes: int
    images: list[ImageRecord]


_SHARD = TypeAdapter(Shard)


@dataclass(frozen=True)
class Manifest:
    """The record of a whole cache; ``layout`` fixes which images share a shard and a forward pass."""

    fingerprint: Mapping[str, Any]
    layout: Mapping[str, int]
    info: Mapping[str, object]
    norm: Mapping[str, Any] | None
    license: Mapping[str, Any]
    made_with: Mapping[str, str]

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

    def write(self, path: Path) -> None:
        """Write it to the cache at ``path``, atomically."""
        write_sealed(path / "manifest.json", asdict(self))

    @cached_property
    def id(self) -> str:
        """sha256 (hex) that every shard's record repeats."""
        return json_sha256([self.fingerprint, self.layout, self.norm])

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
    def shards(self) -> list[range]:
        """The image indices of each shard."""
        count, step = self.fingerprint["images"], self.layout["shard_images"]
        return [range(first, min(first + step, count)) for first in range(0, count, step)]


def shard_path(path: Path, number: int) -> Path:
    """The file of a shard; its record has the suffix ``.json``."""
    return path / "shards" / f"{number:05d}.safetensors"


def write_shard_record(path: Path, number: int, shard: Shard, manifest: Manifest) -> None:
    """Write a shard's record, with which the shard counts as done."""
    write_sealed(shard_path(path, number).with_suffix(".json"), {"cache": manifest.id, **asdict(shard)})


def read_shard_record(path: Path, number: int, manifest: Manifest) -> Shard:
    """The record of a shard, after checking that it is of this cache and the shard has its recorded length."""
    file = shard_path(path, number)
    values = read_sealed(file.with_suffix(".json"))
    if values["cache"] != manifest.id:
        raise ArgusError(f"{file.with_suffix('.json')}: is of another cache; delete it and run the same caching again")
    size = file.stat().st_size if file.exists() else 0
    if size != values["bytes"]:
        raise ArgusError(
            f"{file}: holds {size} of {values['bytes']} bytes; delete its .json and run the same caching again"
        )
    return _SHARD.validate_python({field: values[field] for field in ("sha256", "bytes", "images")})


def is_done(path: Path, number: int) -> bool:
    """Whether a shard was completely written."""
    return shard_path(path, number).with_suffix(".json").exists()


def check_images(path: Path, split: Split, first: int, images: Sequence[ImageRecord]) -> None:
    """Raise ArgusError naming the first image whose bytes differ from the cached ones.

    Bytes are hashed again only if an image's stamp has changed.
    """
    for index, image in enumerate(images, start=first):
        if split.key(index) != image.key:
            raise ArgusError(f"the cache {path} has {image.key!r} as image {index}, the split {split.key(index)!r}")
        if attempt(split.stamp, index) != image.stamp and attempt(split.digest, index) != image.sha256:
            raise ArgusError(
                f"image {image.key!r} has changed since the cache {path} was written; "
                "restore it, or cache again in another directory"
            )


def attempt(hash_image: Callable[[int], str], index: int) -> str:
    """A stamp or digest of an image; empty if it cannot be read."""
    try:
        return hash_image(index)
    except (ArgusError, OSError):
        return ""


@dataclass(frozen=True)
class Cache:
    """A complete, opened cache; ``CacheSource`` reads its tokens."""

    path: Path
    manifest: Manifest
    images: list[ImageRecord]

    @classmethod
    def open(cls, path: str | Path, expect: Mapping[str, Any] | None = None) -> Cache:
        """Open a cache; raises ArgusError naming the first field of ``expect`` (see ``fingerprint``) that differs.

        Raises ArgusError too if shards are missing, too short or of another cache. Tokens are not read: see ``verify``.
        """
        path = Path(path)
        manifest = Manifest.read(path)
        check_matches(path, manifest.fingerprint, expect or {})
        total = len(manifest.shards)
        done = sum(is_done(path, number) for number in range(total))
        if done < total:
            raise ArgusError(f"the cache {path} is unfinished, {done} of {total} shards; run the same caching again")
        shards = (read_shard_record(path, number, manifest) for number in range(total))
        return cls(path, manifest, [image for shard in shards for image in shard.images])

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return sum(shard_path(self.path, number).stat().st_size for number in range(len(self.manifest.shards)))

    @property
    def id(self) -> str:
        """sha256 (hex) of the fingerprint and of every image's bytes, for records of results."""
        return json_sha256([self.manifest.fingerprint, [image.sha256 for image in self.images]])

    @property
    def skipped(self) -> dict[int, str]:
        """Why images were left out, by index."""
        return {index: image.skipped for index, image in enumerate(self.images) if image.skipped}

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
        tensors = load_file(file)
        return FinalNorm(tensors["weight"], tensors["bias"], record["eps"], tuple(record["layers"]))

    def info(self) -> FeatureInfo:
        """The backbone's channels and strides."""
        return FeatureInfo.from_dict(self.manifest.info)
