"""The index of a cache: the records of all its images and shards in one file, each read when it is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from argus_core.cache.columns import Array, Columns, ColumnWriter, map_columns, texts_of
from argus_core.cache.manifest import Manifest
from argus_core.cache.sidecar import ImageRecord, Shard
from argus_core.common.files import file_sha256, read_sealed, write_atomic, write_sealed
from argus_core.errors import ArgusError

FIXED = {
    "sizes": ("i4", (2,)),
    "extents": ("i4", (2,)),
    "skipped": ("i8", ()),
    "shard.bytes": ("i8", ()),
    "shard.sha256": ("u1", (32,)),
    "shard.device": ("i4", ()),
}
TEXTS = ("keys", "stamps", "sha256", "reasons")
_CHUNK = 4096
_DIGEST = 32
_OTHER = b"\0" * (_DIGEST + 1)


@dataclass(frozen=True, eq=False)
class Index(Sequence[ImageRecord]):
    """The records of a cache's images, in ``columns`` that lie in memory, or in the file ``path``.

    ``id`` is the cache's, ``devices`` are the kinds of device that computed its shards.
    """

    columns: Columns
    id: str
    devices: tuple[str, ...]
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageRecord]: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | list[ImageRecord]:
        """The record of an image, or of several."""
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._read(places, places + 1)[0]
        if places.step == 1:
            return self._read(places.start, max(places.start, places.stop))
        return [self[place] for place in places]

    def __iter__(self) -> Iterator[ImageRecord]:
        for first in range(0, len(self), _CHUNK):
            yield from self._read(first, min(first + _CHUNK, len(self)))

    def __reduce__(self) -> Any:
        if self.path is None:
            return Index, (self.columns, self.id, self.devices)
        return _mapped, (self.path, self.id, self.devices)  # mapped anew, not copied

    @property
    def sizes(self) -> Array:
        """Height and width of each image in pixels (N, 2); zero for skipped ones, as are extents."""
        return self.columns["sizes"]

    @property
    def extents(self) -> Array:
        """Height and width of each image on the canvas (N, 2)."""
        return self.columns["extents"]

    @property
    def shard_bytes(self) -> Array:
        """The length of each shard's file."""
        return self.columns["shard.bytes"]

    def shard_sha256(self, number: int) -> str:
        """sha256 (hex) of a shard's file."""
        return self.columns["shard.sha256"][number].tobytes().hex()

    @cached_property
    def skipped(self) -> dict[int, str]:
        """Why images were left out, by index."""
        indices = self.columns["skipped"].tolist()
        reasons = texts_of(self.columns, "reasons", 0, len(indices))
        return dict(zip(indices, map(_text, reasons), strict=True))

    @property
    def shards_by_device(self) -> dict[str, int]:
        """How many shards each kind of device computed."""
        counts = np.bincount(self.columns["shard.device"], minlength=len(self.devices))
        return dict(zip(self.devices, counts.tolist(), strict=True))

    def _read(self, first: int, last: int) -> list[ImageRecord]:
        texts = [texts_of(self.columns, name, first, last) for name in ("keys", "stamps", "sha256")]
        pairs = [column[first:last].tolist() for column in (self.sizes, self.extents)]
        skipped = self.skipped
        return [
            ImageRecord(_text(key), _text(stamp), _unpacked(sha256), tuple(size), tuple(extent), skipped.get(index, ""))
            for index, key, stamp, sha256, size, extent in zip(range(first, last), *texts, *pairs, strict=True)
        ]


def collect(manifest: Manifest, shards: Iterable[Shard]) -> Index:
    """The index of a cache of which these are the shards, in their order, in memory."""
    with _IndexWriter(manifest, shards) as writer:
        return Index(writer.columns.arrays(), writer.id, tuple(writer.devices))


def write_index(path: Path, manifest: Manifest, shards: Iterable[Shard]) -> None:
    """Write the index of the cache at ``path``, with which it is sealed; equal records give equal bytes."""
    file, head = _files(path)
    with _IndexWriter(manifest, shards) as writer:
        write_atomic(file, writer.columns.write)
        values = {"cache": manifest.id, "id": writer.id, "devices": list(writer.devices)}
    write_sealed(head, {**values, "bytes": file.stat().st_size, "sha256": file_sha256(file)})


class _IndexWriter(AbstractContextManager["_IndexWriter"]):
    """Collects the records of shards in columns, when it is entered."""

    def __init__(self, manifest: Manifest, shards: Iterable[Shard]) -> None:
        self.columns, self.devices = ColumnWriter(FIXED, TEXTS), dict[str, int]()
        self._shards, self._images = shards, 0
        self._id = hashlib.sha256(b"[" + _json(manifest.identity) + b",[")

    def __enter__(self) -> _IndexWriter:
        with ExitStack() as stack:
            stack.push(self)
            for shard in self._shards:
                self._add(shard)
            self._id.update(b"]]")
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.columns.close()

    @property
    def id(self) -> str:
        """sha256 (hex) of the fingerprint and of every image's bytes."""
        return self._id.hexdigest()

    def _add(self, shard: Shard) -> None:
        images, columns = shard.images, self.columns
        columns.add("sizes", [image.size for image in images])
        columns.add("extents", [image.extent for image in images])
        columns.add_texts("keys", [_bytes(image.key) for image in images])
        columns.add_texts("stamps", [_bytes(image.stamp) for image in images])
        columns.add_texts("sha256", [_packed(image.sha256) for image in images])
        skipped = [index for index, image in enumerate(images) if image.skipped]
        columns.add("skipped", [self._images + index for index in skipped])
        columns.add_texts("reasons", [_bytes(images[index].skipped) for index in skipped])
        columns.add("shard.bytes", [shard.bytes])
        columns.add("shard.sha256", list(bytes.fromhex(shard.sha256)))
        columns.add("shard.device", [self.devices.setdefault(shard.device, len(self.devices))])
        self._id.update((b"," if self._images else b"") + _json([image.sha256 for image in images])[1:-1])
        self._images += len(images)


def read_index(path: Path, manifest: Manifest) -> Index | None:
    """The index of the cache at ``path``; None if it was not sealed. Raises ArgusError if it is damaged."""
    file, head = _files(path)
    if not head.exists():
        return None
    values = read_index_head(path)
    size = file.stat().st_size if file.exists() else 0
    if values["cache"] == manifest.id and values["bytes"] == size:
        try:
            return _mapped(file, values["id"], tuple(values["devices"]))
        except (ValueError, KeyError):  # the header was changed
            pass
    raise ArgusError(f"{file}: is not the index of this cache; delete {head.name} and run the same caching again")


def read_index_head(path: Path) -> dict[str, Any]:
    """What is recorded of an index: ids, length and sha256 of its file, devices."""
    return read_sealed(_files(path)[1])


def index_file(path: Path) -> Path:
    """The file that holds the records."""
    return _files(path)[0]


def is_sealed(path: Path) -> bool:
    """Whether the cache at ``path`` has an index."""
    return _files(path)[1].exists()


def unseal(path: Path) -> None:
    """Remove the index of a cache of which shards are written again."""
    for file in reversed(_files(path)):
        file.unlink(missing_ok=True)


def _files(path: Path) -> tuple[Path, Path]:
    """The index, and its record, with which it counts as written."""
    return path / "index.safetensors", path / "index.json"


def _mapped(file: Path, id: str, devices: tuple[str, ...]) -> Index:
    return Index(map_columns(file), id, devices, file)


def _json(values: object) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _packed(digest: str) -> bytes:
    """A sha256 (hex) in 32 bytes; whatever else a data set gives, in more."""
    try:
        packed = bytes.fromhex(digest)
    except ValueError:
        packed = b""
    whole = len(packed) == _DIGEST and packed.hex() == digest
    return packed if whole or not digest else _bytes(digest) + _OTHER


def _unpacked(content: bytes) -> str:
    """The text of which ``_packed`` made the bytes."""
    return content.hex() if len(content) <= _DIGEST else _text(content.removesuffix(_OTHER))
