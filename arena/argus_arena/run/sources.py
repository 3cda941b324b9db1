"""What a run reads: two splits of a data set, and their tokens, from a cache folder or from a backbone running live."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from typing import Protocol as Interface

from argus_arena.requests import RunRequest
from argus_arena.run.selection import select_images, selected_count
from argus_arena.scoring.rules import Source
from argus_core.cache import Cache, CacheSource
from argus_core.canvas import Canvas, Tiles
from argus_core.common.files import read_sealed
from argus_core.common.options import parse_size
from argus_core.data import Split
from argus_core.data.split import guarded
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import Plugins
from argus_core.protocols import Protocol, find_protocol
from argus_core.tokens import FeatureInfo, Needs, TokenSource

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


Record = dict[str, Any]
LIVE_ONLY = ("weights", "backbone_options", "canvas", "fit", "tiles", "overlap")
"""Fields of a request that a cache has already settled."""
LIVE = {*LIVE_ONLY, "backbone", "views", "protocol", "workers"}
"""Fields of a request that live tokens depend on."""
CANVAS = ("height", "width", "fit", "interpolation", "short", "tiles")
SHARED = ("backbone", "weights", "precision", "mean", "std", *CANVAS)
"""Fields of the fingerprint in which the caches of a run must agree."""


class Sources(NamedTuple):
    """The tokens of the training split to learn from, of the same split to choose by, and of the validation split."""

    train: TokenSource
    selection: Source
    val: Source


class Origin(Interface):
    """Gives the tokens of a training and a validation split."""

    info: FeatureInfo
    record: Record
    precision: str
    """What the backbone computes, or computed, the tokens in."""

    def open(self, needs: Needs, train: Split, val: Split) -> Sources:
        """Sources that hold at least ``needs``; raises if the splits are not those the tokens are of."""
        ...


@dataclass(frozen=True)
class RunData:
    """The splits that runs are trained and scored on, and their caches unless tokens are live.

    What is opened or checked stays so, for all heads and seeds of a comparison.
    """

    train: Split
    val: Split
    cached: CachedOrigin | None
    _selected: dict[str, tuple[int, ...]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _live: dict[str, LiveOrigin] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def images(self) -> int:
        """How many images are trained on: those of the cache that were not skipped, or all of the split."""
        if self.cached is None:
            return len(self.train)
        return len(self.cached.train.images) - len(self.cached.train.skipped)

    def selected(self, selection: str) -> tuple[int, ...]:
        """The training images that choices are made on, by the field of a request; ascending, none if too few."""
        count = selected_count(self.images, selection)
        if count and selection not in self._selected:
            skipped = self.cached.train.skipped if self.cached else {}
            usable = [index for index in range(len(self.train)) if index not in skipped]
            with guarded(self.train):
                self._selected[selection] = select_images(self.train, usable, count, self._digest())
        return self._selected.get(selection, ())

    def _digest(self) -> Callable[[int], str]:
        """The sha256 of a training image's bytes, by its index; a cache knows it."""
        if self.cached is None:
            return self.train.digest
        return [image.sha256 for image in self.cached.train.images].__getitem__

    @cached_property
    def digests(self) -> tuple[str, str]:
        """sha256 (hex) of the annotations of both splits."""
        return self.train.annotation_digest(), self.val.annotation_digest()

    def origin(self, request: RunRequest, device: str) -> Origin:
        """The caches, or the backbone of a request, which is loaded once for requests that ask for the same tokens."""
        if self.cached is not None:
            return self.cached
        key = request.model_dump_json(include=LIVE) + device
        if key not in self._live:
            self._live.clear()  # a backbone that nobody asks for any more makes room
            self._live[key] = LiveOrigin(request, device)
        return self._live[key]


def open_run_data(request: RunRequest, plugins: Plugins) -> RunData:
    """Open the splits and caches that a request names; a backbone is not loaded."""
    if (request.cache is None) == (request.backbone is None):
        raise ArgusError("say where tokens come from: either --cache DIR or --backbone NAME")
    cached = None
    if request.cache is not None:
        for field in LIVE_ONLY:
            if getattr(request, field) != RunRequest.model_fields[field].get_default(call_default_factory=True):
                raise ArgusError(f"{field} is for live tokens; with --cache it is the cache's own: leave it out")
        cached = CachedOrigin(request.cache, request.train_split, request.val_split)
    data = open_data(request.data, plugins)
    return RunData(split_of(data, request.train_split), split_of(data, request.val_split), cached)


class CachedOrigin:
    """The caches of both splits below one folder."""

    def __init__(self, folder: Path, train: str, val: str) -> None:
        self.train, self.val = _open_cache(folder, train), _open_cache(folder, val)
        self.info = self.train.info()
        fingerprint, other = self.train.manifest.fingerprint, self.val.manifest.fingerprint
        for field in SHARED:
            here, there = fingerprint.get(field), other.get(field)  # tiles are named only where there are any
            if here != there:
                raise ArgusError(
                    f"the caches below {folder} differ in {field}: {here!r} for {train}, "
                    f"{there!r} for {val}; cache both alike"
                )
        self.precision = fingerprint["precision"]
        self._checked: list[Split] = []
        spec = self.train.manifest.spec
        self.record: Record = {
            "tokens": {
                "from": "cache",
                "train": self.train.id,
                "val": self.val.id,
                "dtype": spec.dtype,
                "views": list(spec.views),
                "canvas": spec.canvas.to_dict(),
                "backbone": _cached_backbone(folder, fingerprint["weights"]),
            },
            "license": dict(self.train.manifest.license),
            "cache_bytes": self.train.bytes + self.val.bytes,
            "cache_devices": sorted({*self.train.devices, *self.val.devices}),
        }

    def open(self, needs: Needs, train: Split, val: Split) -> Sources:
        """Sources over the caches, after checking that they hold these splits' images and these layers."""
        for cache, split in ((self.train, train), (self.val, val)):
            cache.require(needs)
            if not any(split is checked for checked in self._checked):  # a file status per image
                cache.check_images(split)
                self._checked.append(split)
        # Two batches: one is read while heads learn from the other.
        return Sources(
            CacheSource(self.train, reuse=2, needs=needs),
            CacheSource(self.train, needs=needs),
            CacheSource(self.val, needs=needs),
        )


class LiveOrigin:
    """A backbone that encodes every batch anew, with both views available."""

    def __init__(self, request: RunRequest, device: str | None) -> None:
        from argus_core.backbones import load_backbone
        from argus_core.common.license import find_license

        assert request.backbone is not None
        self.backbone = load_backbone(request.backbone, request.weights, device=device, **request.backbone_options)
        if request.workers and self.backbone.device.type == "cuda":
            raise ArgusError("live tokens on a GPU are made by one process: leave out --workers, or cache them")
        self.info, self.precision = self.backbone.info, self.backbone.precision
        self.protocol = find_protocol(request.protocol) if request.protocol else None
        self.canvas = _canvas(request, self.protocol)
        if self.canvas.tiles and self.canvas.tiles.cut(self.canvas.size):
            self.canvas.tiles.check(max(self.info.strides))
        self.views = request.views or ("id",)
        self.record: Record = {
            "tokens": {
                "from": "live",
                "canvas": self.canvas.to_dict(),
                "views": list(self.views),
                "backbone": backbone_record(self.backbone),
            },
            "license": vars(find_license(self.backbone.license)),
        }

    def open(self, needs: Needs, train: Split, val: Split) -> Sources:
        """Live sources of both splits; those that are scored show what the protocol looks at."""
        from argus_core.backbones.live import FramedSource, LiveSource

        framing = self.protocol.passes if self.protocol else self.canvas
        return Sources(
            LiveSource(self.backbone, train, self.canvas, needs, self.views),
            FramedSource(self.backbone, train, framing, needs),
            FramedSource(self.backbone, val, framing, needs),
        )


def _canvas(request: RunRequest, protocol: Protocol | None) -> Canvas:
    """The canvas to train on: the request's, else the protocol's where it has one, else 640 pixels."""
    tiles = find_tiles(request.tiles, request.overlap, request.protocol)
    if request.canvas is None and protocol is not None and protocol.canvas is not None:
        return protocol.canvas
    height, width = parse_size(request.canvas or "640")
    return Canvas(height, width, request.fit, tiles=tiles)


def find_tiles(size: str | None, overlap: float | None, protocol: str | None) -> Tiles | None:
    """The tiles of a request, by which a larger canvas is encoded; raises ArgusError where there can be none."""
    if size is None:
        if overlap is not None:
            raise ArgusError("--overlap is that of tiles: add --tiles SIZE, or leave it out")
        return None
    if protocol is not None:
        raise ArgusError(f"protocol {protocol!r} settles what the backbone looks at; leave out --tiles")
    return Tiles(*parse_size(size)) if overlap is None else Tiles(*parse_size(size), overlap=overlap)


def backbone_record(backbone: Backbone) -> Record:
    """What it takes to load the same backbone again, and to know that it is the same."""
    return {
        "name": backbone.name,
        "weights": str(backbone.file.resolve()) if backbone.file else None,
        "options": backbone.options,
        "sha256": backbone.weights_sha256,
    }


def read_backbone(folder: Path) -> Record:
    """The record of the backbone of all caches in a folder; raises ArgusError if it is damaged, or not written yet."""
    file = folder / "backbone.json"
    if not file.is_file():
        raise ArgusError(f"{file} is missing: the caching was not finished; run the same `arena cache` again")
    return read_sealed(file)


def _cached_backbone(folder: Path, weights: str) -> Record:
    record = read_backbone(folder)
    if record["sha256"] != weights:
        raise ArgusError(
            f"{folder / 'backbone.json'} is of other weights than the caches beside it; "
            "cache each backbone in its own folder"
        )
    return {key: value for key, value in record.items() if key != "data"}  # a run's own record names its data


def _open_cache(folder: Path, split: str) -> Cache:
    if not (folder / split).is_dir():
        raise ArgusError(f"{folder} holds no cache of split {split!r}; run `arena cache --out {folder}` first")
    return Cache.open(folder / split)
