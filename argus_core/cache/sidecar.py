"""Shards and their sidecars: the record of a shard, with which it counts as written.

Several processes may write the same shard, and any may be killed. The bytes lie under a name of their own (*staged*)
before the sidecar is created, which only one process can; what the sidecar names is then moved into place, by whoever
comes next if that process was killed. So a shard in its place is always the one of which the sidecar tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from argus_core.cache.manifest import Manifest
from argus_core.common.files import create_exclusive, move, read_sealed, sealed, write_named
from argus_core.data import Split
from argus_core.errors import ArgusError

STAMP = 16
"""Hexadecimal digits of a shard's sha256 in the name of its staged file."""


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
    """The record of a shard, in a JSON file beside it; ``device`` is the kind of device that computed it."""

    sha256: str
    bytes: int
    images: list[ImageRecord]
    device: str = "unknown"


_SHARD = TypeAdapter(Shard)


def shard_path(path: Path, number: int) -> Path:
    """The file of a shard."""
    return path / "shards" / f"{number:05d}.safetensors"


def sidecar_path(path: Path, number: int) -> Path:
    """The file of a shard's record."""
    return path / "shards" / f"{number:05d}.json"


def staged_path(path: Path, number: int, sha256: str) -> Path:
    """The file of a shard until its sidecar exists."""
    return path / "shards" / f"{number:05d}.{sha256[:STAMP]}.staged"


def is_done(path: Path, number: int) -> bool:
    """Whether a shard was written."""
    return sidecar_path(path, number).exists()


def commit(
    path: Path,
    number: int,
    write: Callable[[Path], object],
    images: list[ImageRecord],
    device: str,
    manifest: Manifest,
) -> None:
    """Write a shard, by calling ``write``, and its sidecar, unless another process has; then that one's stays."""
    sha256, size = write_named(shard_path(path, number), lambda sha256: staged_path(path, number, sha256), write)
    record = {"cache": manifest.id, **asdict(Shard(sha256, size, images, device))}
    first = create_exclusive(sidecar_path(path, number), sealed(record))
    settle(path, number, staged_path(path, number, sha256).name, sha256 if first else None)


def settle(path: Path, number: int, staged: str, sha256: str | None = None) -> None:
    """Move a staged file of a shard whose sidecar exists into place if it is the one that was recorded, else remove it.

    ``sha256`` is the recorded one, if it is known.
    """
    file = path / "shards" / staged
    recorded = sha256 or str(read_sealed(sidecar_path(path, number))["sha256"])
    if file.name == staged_path(path, number, recorded).name:
        move(file, shard_path(path, number))
    else:
        file.unlink(missing_ok=True)


def read_sidecar(path: Path, number: int, manifest: Manifest) -> Shard:
    """The record of a shard, after checking that it is of this cache and the shard has its recorded length."""
    file, record = shard_path(path, number), sidecar_path(path, number)
    values = read_sealed(record)
    if values["cache"] != manifest.id:
        raise ArgusError(f"{record}: is of another cache; delete it and run the same caching again")
    size = file.stat().st_size if file.exists() else 0
    if size != values["bytes"]:
        raise ArgusError(
            f"{file}: holds {size} of {values['bytes']} bytes; delete its .json and run the same caching again"
        )
    return _SHARD.validate_python({field: values[field] for field in Shard.__annotations__ if field in values})


def check_images(path: Path, split: Split, first: int, images: Iterable[ImageRecord]) -> None:
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
