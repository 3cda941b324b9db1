"""A cache's directory: what it holds, of which images, and whether that is what a run wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from argus_core.cache.shard import prefix_rows
from argus_core.cache.spec import READ, CacheSpec, refuse
from argus_core.canvas import Canvas
from argus_core.common.files import file_sha256, json_sha256, read_sealed, write_sealed
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, FinalNorm, Needs


@dataclass(frozen=True)
class ImageRecord:
    """One image as it was cached; ``skipped`` is why it was left out, and then it has neither size nor extent."""

    key: str
    stamp: str
    sha256: str
    size: tuple[int, int] = (0, 0)
    extent: tuple[int, int] = (0, 0)
    skipped: str = ""


@dataclass(frozen=True)
class Shard:
    """What a shard's sidecar says of it."""

    sha256: str
    bytes: int
    images: list[ImageRecord]


@dataclass(frozen=True)
class Manifest:
    """What holds for a whole cache; ``layout`` fixes which images share a shard and a forward pass."""

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
        if (found := values["fingerprint"]["format"]) not in READ:
            raise ArgusError(
                f"the cache {path} is of format {found}, this version of Argus reads {' and '.join(map(str, READ))}; "
                "use the version that wrote it, or cache again in another directory"
            )
        return cls(**values)

    def write(self, path: Path) -> None:
        """Write it to the cache at ``path``, atomically."""
        write_sealed(path / "manifest.json", asdict(self))

    @cached_property
    def id(self) -> str:
        """sha256 (hex) that every sidecar of this cache repeats."""
        return json_sha256([self.fingerprint, self.layout, self.norm])

    @property
    def spec(self) -> CacheSpec:
        """What is stored of every image."""
        held = self.fingerprint
        canvas = Canvas(*(held[field] for field in ("height", "width", "fit", "interpolation", "short")))
        needs = Needs(tuple(held["layers"]), maps=held["maps"], cls=held["cls"])
        return CacheSpec(canvas, needs, tuple(held["views"]), held["dtype"])

    @property
    def prefix_rows(self) -> int:
        """Tokens before the patches that are stored of each pass."""
        return prefix_rows(FeatureInfo.from_dict(self.info), self.fingerprint["format"])

    @cached_property
    def shards(self) -> list[range]:
        """The image indices of each shard."""
        count, step = self.fingerprint["images"], self.layout["shard_images"]
        return [range(first, min(first + step, count)) for first in range(0, count, step)]


def shard_path(path: Path, number: int) -> Path:
    """The file of a shard; its sidecar has the suffix ``.json``."""
    return path / "shards" / f"{number:05d}.safetensors"


def write_shard_record(path: Path, number: int, shard: Shard, manifest: Manifest) -> None:
    """Write a shard's sidecar: from now on the shard counts as done."""
    write_sealed(shard_path(path, number).with_suffix(".json"), {"cache": manifest.id, **asdict(shard)})


def read_shard_record(path: Path, number: int, manifest: Manifest) -> Shard:
    """The sidecar of a shard, after checking that both belong to this cache and the shard is whole in length."""
    file = shard_path(path, number)
    values = read_sealed(file.with_suffix(".json"))
    if values["cache"] != manifest.id:
        raise ArgusError(f"{file.with_suffix('.json')}: is of another cache; delete it and run the same caching again")
    size = file.stat().st_size if file.exists() else 0
    if size != values["bytes"]:
        raise ArgusError(
            f"{file}: holds {size} of {values['bytes']} bytes; delete its .json and run the same caching again"
        )
    images = [
        ImageRecord(**{**image, "size": tuple(image["size"]), "extent": tuple(image["extent"])})
        for image in values["images"]
    ]
    return Shard(values["sha256"], values["bytes"], images)


def is_done(path: Path, number: int) -> bool:
    """Whether a shard was written to its end."""
    return shard_path(path, number).with_suffix(".json").exists()


def check_images(path: Path, split: Split, first: int, images: Sequence[ImageRecord]) -> None:
    """Raise ArgusError naming the first image that is not, byte for byte, what was cached.

    Bytes are hashed again only where an image's stamp has changed.
    """
    for index, image in enumerate(images, start=first):
        if split.key(index) != image.key:
            raise ArgusError(f"the cache {path} has {image.key!r} as image {index}, the split {split.key(index)!r}")
        if attempt(split.stamp, index) != image.stamp and attempt(split.digest, index) != image.sha256:
            raise ArgusError(
                f"image {image.key!r} has changed since the cache {path} was written; "
                "restore it, or cache again in another directory"
            )


def attempt(ask: Callable[[int], str], index: int) -> str:
    """A stamp or digest, empty where the image's bytes cannot be had."""
    try:
        return ask(index)
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
        """Open a cache; raises ArgusError naming the field of ``expect`` (see ``fingerprint``) it does not meet.

        Raises too if shards are missing, cut short or of another cache. Tokens are not read: see ``verify``.
        """
        path = Path(path)
        manifest = Manifest.read(path)
        refuse(path, manifest.fingerprint, expect or {})
        total = len(manifest.shards)
        done = sum(is_done(path, number) for number in range(total))
        if done < total:
            raise ArgusError(f"the cache {path} is unfinished, {done} of {total} shards; run the same caching again")
        shards = (read_shard_record(path, number, manifest) for number in range(total))
        return cls(path, manifest, [image for shard in shards for image in shard.images])

    @property
    def bytes(self) -> int:
        """What its shards take on disk."""
        return sum(shard_path(self.path, number).stat().st_size for number in range(len(self.manifest.shards)))

    @property
    def id(self) -> str:
        """sha256 (hex) over every field of the fingerprint and every image's bytes, for records of results."""
        return json_sha256([self.manifest.fingerprint, [image.sha256 for image in self.images]])

    @property
    def skipped(self) -> dict[int, str]:
        """Why images were left out, by index."""
        return {index: image.skipped for index, image in enumerate(self.images) if image.skipped}

    def check_images(self, split: Split) -> None:
        """Raise ArgusError naming the first image of ``split`` whose key or bytes differ from the cached ones."""
        refuse(self.path, self.manifest.fingerprint, {"images": len(split)})
        check_images(self.path, split, 0, self.images)

    def require(self, needs: Needs) -> None:
        """Raise ArgusError naming what ``needs`` asks for and the cache does not hold."""
        needs = needs.resolve(self.info())
        wanted = {"layers": list(needs.layers), "maps": needs.maps, "cls": needs.cls}
        refuse(self.path, self.manifest.fingerprint, wanted)

    def norm(self) -> FinalNorm | None:
        """The backbone's final norm, which the stored tokens have not been through."""
        held = self.manifest.norm
        if held is None:
            return None
        file = self.path / "norm.safetensors"
        if not file.exists() or file_sha256(file) != held["sha256"]:
            raise ArgusError(f"{file}: missing or damaged; delete it and run the same caching again")
        tensors = load_file(file)
        return FinalNorm(tensors["weight"], tensors["bias"], held["eps"], tuple(held["layers"]))

    def info(self) -> FeatureInfo:
        """The backbone's channels and strides."""
        return FeatureInfo.from_dict(self.manifest.info)
