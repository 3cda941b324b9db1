"""Images in folders, with masks, depth maps or class labels that bear their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from argus_core.common.files import read_json
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.image import IMAGES
from argus_data.images import Layer, find_files, image_files, split_folders
from argus_data.masks import MaskLayer
from argus_data.matching import Matched, MatchedSplit, by_stem, check_limit, match

__all__ = ["open_images"]

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}
"""Metres per unit of a depth file."""

SUFFIXES = {"mask": IMAGES, "depth map": (".png", ".tif", ".tiff", ".npy")}


@dataclass(frozen=True)
class _Depths:
    """Metres per unit of whole numbers and of floats, and the range of depths in metres."""

    scale: float
    floats: float
    low: float
    high: float


@dataclass(frozen=True)
class _Layout:
    """Where everything of a data set lies, relative to ``root``; an empty text means that it has none."""

    root: Path
    masks: str
    depth: str
    labels: str
    classes: str
    remap: str
    depths: _Depths

    def layers(self, folder: str, matched: Matched) -> list[Layer]:
        """The layers of the split in the sub-folder ``folder``."""
        found: list[Layer] = []
        if self.masks:
            classes, ignore = self._classes()
            found.append(MaskLayer(matched.paths["mask"], classes, ignore, self._remap()))
        if self.depth:
            from argus_data.depth_maps import DepthLayer

            one = self.depths
            found.append(
                DepthLayer(matched.paths["depth map"], one.scale, low=one.low, high=one.high, floats=one.floats)
            )
        if self.labels:
            from argus_data.labels import LabelLayer, read_labels

            keys = [(PurePosixPath(folder) / file.key).as_posix() for file in matched.files]
            found.append(LabelLayer(*read_labels(self.root / self.labels, keys)))
        return found

    def _remap(self) -> list[int] | dict[int, int] | None:
        """A list by index, or an object with indices as keys."""
        if not self.remap:
            return None
        file, _, key = self.remap.partition(":")
        content = read_json(self.root / file, f"remap=FILE.json is relative to {self.root}")
        named = content.get(key or "remap", content) if isinstance(content, dict) else content
        if not isinstance(named, dict):
            return _pick(self.root, self.remap, "remap", int)[0]
        if not all(index.isdecimal() and type(label) is int for index, label in named.items()):
            raise ArgusError(f'{self.root / file}: remap should map indices to classes, as in {{"0": 0, "255": 1}}')
        return {int(index): label for index, label in named.items()}

    def _classes(self) -> tuple[list[str], int]:
        if not self.classes:
            raise ArgusError("masks need class names: classes=FILE.json, a list or {'classes': [...]}")
        names, rest = _pick(self.root, self.classes, "classes", str)
        return names, int(rest.get("ignore_index", 255))


def open_images(
    path: str | Path,
    *,
    images: str = "images",
    masks: str = "",
    depth: str = "",
    labels: str = "",
    classes: str = "",
    remap: str = "",
    unit: Literal["mm", "cm", "m"] = "mm",
    scale: float | str = "",
    low: float = 0.001,
    high: float = 10.0,
    limit: int = 0,
) -> dict[str, Split]:
    """The splits of PATH/IMAGES/{train,val,test}, or one split ``all`` if PATH/IMAGES has none of these folders.

    ``masks`` and ``depth`` name folders beside IMAGES with the same splits and file names; ``labels`` a file with
    the class of every image. ``classes=FILE.json`` holds the names of a mask's indices as a list, or under
    "classes" with an optional "ignore_index" (255); ``FILE.json:KEY`` picks another key. ``remap=FILE.json:KEY`` is a
    list that gives each index in the masks its class, or an object, as in {"0": 0, "255": 1}. ``unit`` is that of
    whole-number depth; ``scale`` gives metres per step instead, of whole numbers and floats, such as 1/256; depth is
    learned and scored between ``low`` and ``high`` metres. Images without an annotation are left out, which is a fault.
    ``limit`` keeps the first images of every split; 0 keeps all.
    """
    root = Path(path).expanduser()
    check_limit(limit)
    if not (root / images).is_dir():
        raise ArgusError(f"{root / images}: no such folder; images=FOLDER names the one that holds the images")
    layout = _Layout(root, masks, depth, labels, classes, remap, _depths(unit, scale, low, high))
    wanted = {kind: root / place for kind, place in (("mask", masks), ("depth map", depth)) if place}
    splits: dict[str, Split] = {}
    for name, folder in (split_folders(root / images) or {"all": root / images}).items():
        beside = folder.relative_to(root / images)
        kinds = {kind: find_files(_beside(place, name, beside), SUFFIXES[kind]) for kind, place in wanted.items()}
        listed = find_files(folder)
        files = image_files(listed.paths, folder)
        matched = match(name, files, {kind: by_stem(found) for kind, found in kinds.items()}, limit)
        layers = layout.layers(beside.as_posix(), matched)
        splits[name] = MatchedSplit(name, matched, layers, [listed, *kinds.values()])
    return splits


def _depths(unit: str, scale: float | str, low: float, high: float) -> _Depths:
    if scale == "":
        return _Depths(METRES[unit], 1.0, low, high)
    if unit != "mm":
        raise ArgusError(f"unit={unit} and scale={scale} both say what a step of depth is; give one of them")
    try:
        top, _, bottom = str(scale).partition("/")
        metres = float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ArgusError(f"scale={scale} is no number of metres; give one such as 0.001 or 1/256") from error
    return _Depths(metres, metres, low, high)


def _beside(place: Path, split: str, folder: Path) -> Path:
    """Where the annotations of a split lie: in the folder that is called as that of its images, or means the same."""
    return place / folder if (place / folder).is_dir() else split_folders(place).get(split, place / folder)


def _pick(root: Path, spec: str, option: str, kind: type) -> tuple[list[Any], Mapping[str, Any]]:
    """The list that ``FILE.json`` or ``FILE.json:KEY`` holds, and the object it was found in."""
    file, _, key = (spec, "", "") if (root / spec).is_file() or ":" not in spec else spec.rpartition(":")
    content = read_json(root / file, f"{option}=FILE.json is relative to {root}")
    values = content if isinstance(content, list) and not key else None
    if isinstance(content, dict):
        values = content.get(key or option)
    if not isinstance(values, list) or not values or not all(type(value) is kind for value in values):
        what = f"key {key or option!r}" if isinstance(content, dict) else "the file"
        raise ArgusError(f"{root / file}: {what} should hold a list of {kind.__name__}; give {option}=FILE.json:KEY")
    return values, content if isinstance(content, dict) else {}
