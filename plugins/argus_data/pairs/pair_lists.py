"""Any images with points that correspond, listed in one JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from argus_core.common.files import read_json
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, several
from argus_data.files.images import data_root
from argus_data.files.local_names import local_names, spelt_on_disk
from argus_data.pairs.pair_layer import Box, PairPoints, PairSplit, Point, Size

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


NAME = "pairs.json"

Points = Sequence[Point | None]


class _Image(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    file: str
    width: int | None = None
    height: int | None = None
    category: str = ""
    bbox: Box | None = None
    keypoints: list[Point | None] | None = None

    @property
    def size(self) -> Size | None:
        return (self.height, self.width) if self.height is not None and self.width is not None else None


class _Pair(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    src: str
    trg: str
    split: str
    src_points: list[Point | None] | None = None
    trg_points: list[Point | None] | None = None


class _Content(BaseModel):
    images: dict[str, _Image]
    pairs: list[_Pair]


def open_pairs(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """The splits that the pairs of a JSON file name; ``path`` is the file, or a folder that holds it as pairs.json.

    The file is ``{"images": {key: image}, "pairs": [pair]}``. An image has ``file`` (relative to the JSON file) and
    may have ``width``, ``height``, ``category``, ``bbox`` [x1, y1, x2, y2] of its object and ``keypoints`` [[x, y],
    null, ...]. A pair has ``src``, ``trg`` (keys of images) and ``split``; its points are the keypoints that both
    images have, in order, or its own ``src_points`` and ``trg_points``. Pairs that name no image or whose points do
    not correspond, and points outside their image, are faults and left out. ``limit`` keeps the first pairs of every
    split; 0 keeps all.
    """
    root = data_root(path, limit)
    file = root / NAME if root.is_dir() else root
    if not file.is_file():
        raise ArgusError(f"{file}: no such file; give a JSON file of pairs, or the folder that holds {NAME}")
    try:
        content = _Content.model_validate(read_json(file, "give a JSON file of pairs"))
    except ValidationError as error:
        raise ArgusError(
            f"{file} is no file of pairs: {several([_in_words(fault) for fault in error.errors()])}"
        ) from error
    if not content.pairs:
        raise ArgusError(f"{file} lists no pairs")
    reader = _Reader(file, content)
    return {name: reader.split(name, limit) for name in dict.fromkeys(pair.split for pair in content.pairs)}


def _in_words(error: ErrorDetails) -> str:
    """A fault that validation reports, with the entry it lies in: ``pair 3, trg: it is missing``."""
    kind, *rest = map(str, error["loc"]) if error["loc"] else ("the file",)
    where = {"pairs": "pair", "images": "image"}[kind] + " " + ", ".join(rest) if rest else kind
    what = {"missing": "it is missing", "model_type": "it is no object {...}"}
    return f"{where}: {what.get(error['type'], error['msg'])}"


class _Reader:
    """Splits from the content of a file; a fault is reported once, by the first split that it concerns."""

    def __init__(self, file: Path, content: _Content) -> None:
        self.file, self.images, self.pairs = file, content.images, content.pairs
        self._folder, names = local_names([image.file for image in content.images.values()], file.parent)
        self._names = dict(zip(content.images, names, strict=True))
        self._reported: set[Fault] = set()

    def split(self, name: str, limit: int) -> PairSplit:
        """The usable pairs of one split."""
        pairs: list[tuple[str, str]] = []
        points: list[PairPoints] = []
        faults: list[Fault] = []
        for number, pair in enumerate(self.pairs):
            if pair.split != name or (limit and len(pairs) == limit):
                continue
            where = f"{self.file}, pair {number} ({pair.src}, {pair.trg})"
            try:
                points.append(self._points(pair, where, faults))
                pairs.append((pair.src, pair.trg))
            except ValueError as error:
                faults.append(Fault(where, str(error), True, "pairs that cannot be used", total=len(self.pairs)))
        sizes = {key: image.size for key, image in self.images.items() if image.size is not None}
        fresh = [fault for fault in dict.fromkeys(faults) if fault not in self._reported]
        self._reported.update(fresh)
        return PairSplit(name, pairs, self._path, points.__getitem__, sizes, fresh)

    def _path(self, key: str) -> Path:
        return spelt_on_disk(self._folder, self._names[key])

    def _points(self, pair: _Pair, where: str, faults: list[Fault]) -> PairPoints:
        """The points that correspond; ValueError says why there are none, ``faults`` gets what else is wrong."""
        for key in (pair.src, pair.trg):
            if key not in self.images:
                raise ValueError(f"there is no image {key!r} among the images")
        lists = []
        for side, key, own_points in (("src", pair.src, pair.src_points), ("trg", pair.trg, pair.trg_points)):
            image = self.images[key]
            points = own_points if pair.src_points or pair.trg_points else image.keypoints
            if points is None:
                raise ValueError(
                    f"it has no {side}_points, and its image {key!r} no keypoints that could stand for them"
                )
            place = f"{where}, {side}_points" if points is own_points else f"{self.file}, image {key}"
            lists.append(_inside(points, image.size, place, faults))
        source, target = lists
        if len(source) != len(target):
            raise ValueError(f"{len(source)} source points cannot correspond to {len(target)} target points")
        both = [(a, b) for a, b in zip(source, target, strict=True) if a is not None and b is not None]
        first, second = self.images[pair.src], self.images[pair.trg]
        sizes = (first.size, second.size) if first.size and second.size else None
        box = _box(second, f"{self.file}, image {pair.trg}", faults)
        return PairPoints([a for a, _ in both], [b for _, b in both], box, second.category, sizes)


def _inside(points: Points, size: Size | None, where: str, faults: list[Fault]) -> list[Point | None]:
    """The points that lie in the image; others become None and a fault."""
    kept: list[Point | None] = []
    for number, point in enumerate(points):
        if point and size and not (0 <= point[0] <= size[1] and 0 <= point[1] <= size[0]):
            what = f"point {number} at x={point[0]:g}, y={point[1]:g} lies outside the image of {size[1]}x{size[0]} px"
            faults.append(Fault(where, f"{what} (width x height)", True, "points outside their image"))
            point = None
        kept.append(point)
    return kept


def _box(image: _Image, where: str, faults: list[Fault]) -> Box | None:
    """The box of the object in an image, if it has an area."""
    box = image.bbox
    if box is not None and not (box[0] < box[2] and box[1] < box[3]):
        faults.append(Fault(where, f"bbox {list(box)} is not x1 < x2, y1 < y2", True, "boxes without area"))
        return None
    return box
