"""The cached splits that an audit looks at, as one row of images, with their annotations where these can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_arena.run.sources import SHARED, read_backbone
from argus_arena.tools.cache import caches_below
from argus_core.cache import Cache, CacheSource
from argus_core.common.places import snapshot
from argus_core.data import DataSet, Split
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo, PlacedTokens

BATCH = 32
"""Images whose tokens are read at once."""
FIRST = ("train", "all")
"""Splits that come first where no record tells the order."""


@dataclass(frozen=True)
class Part:
    """One cached split; ``split`` is None where the data cannot be read, and only keys are known."""

    name: str
    source: CacheSource
    cache: Cache
    split: Split | None = None

    @cached_property
    def usable(self) -> npt.NDArray[np.int64]:
        """The indices of the images that have tokens."""
        return np.setdiff1d(np.arange(len(self.cache.images)), list(self.cache.skipped))


@dataclass(frozen=True)
class Opened:
    """Cached splits of one backbone; their images with tokens are numbered from 0, part after part.

    ``notes`` say what could not be read.
    """

    parts: Sequence[Part]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        """(N, 2) part and index there of each image."""
        rows = [np.stack([np.full(len(part.usable), n), part.usable], axis=1) for n, part in enumerate(self.parts)]
        return np.concatenate(rows)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def info(self) -> FeatureInfo:
        """The backbone's channels and strides."""
        return self.parts[0].source.info

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """The layers that all caches hold."""
        held = [set(part.cache.manifest.spec.needs.layers) for part in self.parts]
        return tuple(sorted(set.intersection(*held)))

    @property
    def maps(self) -> bool:
        """Whether all caches hold maps."""
        return all(part.cache.manifest.spec.needs.maps for part in self.parts)

    @property
    def cls(self) -> bool:
        """Whether all caches hold CLS."""
        return all(part.cache.manifest.spec.needs.cls for part in self.parts)

    def part(self, number: int) -> Part:
        """The part that an image is of."""
        return self.parts[self.places[number, 0]]

    def key(self, number: int) -> str:
        """The image's name in its split."""
        return self.part(number).cache.images[int(self.places[number, 1])].key

    def size(self, number: int) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        height, width = self.part(number).cache.images.sizes[int(self.places[number, 1])].tolist()
        return height, width

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], PlacedTokens]]:
        """The tokens of some images in batches, each of one part, with the places of its images among ``numbers``."""
        owners = self.places[np.asarray(numbers, dtype=np.int64), 0] if len(numbers) else np.zeros(0, dtype=np.int64)
        for owner in np.unique(owners):
            own = np.flatnonzero(owners == owner)
            for start in range(0, len(own), BATCH):
                chosen = own[start : start + BATCH].tolist()
                items = [(int(self.places[numbers[place], 1]), "id") for place in chosen]
                yield chosen, self.parts[owner].source.read(items)

    def task(self, name: str) -> tuple[Task, list[int]] | None:
        """The task of this name and the parts that are annotated for it; None if there are none.

        Parts whose classes differ from those of the first one are left out.
        """
        found = [
            (n, part.split.tasks[name]) for n, part in enumerate(self.parts) if part.split and name in part.split.tasks
        ]
        if not found:
            return None
        first = found[0][1]
        same = [n for n, task in found if getattr(task, "classes", ()) == getattr(first, "classes", ())]
        return first, same


def open_caches(folders: Sequence[Path], data: Sequence[str]) -> Opened:
    """Open the caches below some folders, with the data sets that they are of.

    ``data`` are specs: none for those that the caches name, one for all folders, or one for each. Raises ArgusError for
    caches of different backbones or canvases, and where a spec that was given is not the data of its cache.
    """
    if len(data) > 1 and len(data) != len(folders):
        raise ArgusError(f"{len(data)} data sets are given for {len(folders)} cache folders; give one, or one for each")
    parts: list[Part] = []
    notes: list[str] = []
    for number, folder in enumerate(folders):
        given = data[number % len(data)] if data else None
        parts += _open_folder(snapshot(folder), given, notes)
    _check_alike(parts)
    found = Opened(_told_apart(parts), notes)
    if not found.layers:
        raise ArgusError("the caches hold no layer in common; cache them alike")
    if not len(found):
        raise ArgusError("the caches hold no image; see `arena cache info`")
    return found


def _told_apart(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts, with the name of their folder where two splits have one name."""
    if len({part.name for part in parts}) == len(parts):
        return parts
    return [replace(part, name=f"{part.cache.path.parent.name}/{part.name}") for part in parts]


def _open_folder(folder: Path, given: str | None, notes: list[str]) -> list[Part]:
    record = _recorded(folder)
    caches = [Cache.open(path) for path in caches_below(folder)]
    order = [*record.get("splits", ()), *FIRST]
    caches.sort(key=lambda cache: order.index(cache.path.name) if cache.path.name in order else len(order))
    splits = _splits(folder, given or record.get("data"), given is not None, notes)
    return [_part(cache, splits, given is not None, notes) for cache in caches]


def _recorded(folder: Path) -> dict[str, Any]:
    """What the folder of a cache says of its backbone and its data; nothing where that is gone."""
    for place in (folder, folder.parent):
        try:
            return read_backbone(place)
        except ArgusError:
            continue
    return {}


def _splits(folder: Path, spec: str | None, given: bool, notes: list[str]) -> DataSet:
    """The data of a folder of caches; raises ArgusError where they were given and cannot be opened."""
    if spec is None:
        notes.append(f"{folder} does not say which data it is of: no labels, no pictures; give --data SPEC")
        return {}
    try:
        return open_data(spec, load_plugins())
    except ArgusError as error:
        if given:
            raise
        notes.append(f"the data of {folder} cannot be read: no labels, no pictures; give --data SPEC ({error})")
        return {}


def _part(cache: Cache, splits: DataSet, given: bool, notes: list[str]) -> Part:
    """A cache with the split that it is of, if that is there."""
    name = cache.path.name
    split = splits.get(name)
    if split is None:
        if splits:
            notes.append(f"{name}: the data have {', '.join(splits)} and no split {name}: no labels, no pictures")
        return Part(name, CacheSource(cache), cache)
    if fault := _differs(cache, split):
        if given:
            raise ArgusError(f"{cache.path} is not of these data: {fault}; give --data the data that were cached")
        notes.append(f"{name}: {fault}: no labels, no pictures")
        return Part(name, CacheSource(cache), cache)
    try:
        cache.check_images(split)
    except ArgusError as error:  # keys agree, so that the labels still do
        notes.append(f"{name}: {error}")
    return Part(name, CacheSource(cache), cache, split)


def _differs(cache: Cache, split: Split) -> str:
    """In which way the images of a split are not those of a cache, by their names; empty if they are."""
    if len(split) != len(cache.images):
        return f"the cache has {len(cache.images)} images, the split {len(split)}"
    for index, record in enumerate(cache.images):
        if split.key(index) != record.key:
            return f"image {index} of the cache is {record.key!r}, of the split {split.key(index)!r}"
    return ""


def _check_alike(parts: Sequence[Part]) -> None:
    """Raise ArgusError for caches whose tokens cannot be compared."""
    first = parts[0].cache
    for part in parts[1:]:
        for name in SHARED:
            here, there = first.manifest.fingerprint.get(name), part.cache.manifest.fingerprint.get(name)
            if here != there:
                raise ArgusError(
                    f"{first.path} and {part.cache.path} differ in {name}: {here!r} and {there!r}; tokens are compared "
                    "only if they are of one backbone and canvas: cache both alike, or audit them one by one"
                )
