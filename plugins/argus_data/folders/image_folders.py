"""Images in folders, with masks, depth maps or class labels that bear their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from argus_core.common.files import read_json
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.image import IMAGES, Listing
from argus_data.files.images import ImageSplit, Layer, data_root, find_files, image_files, split_folders
from argus_data.files.matching import by_stem, match
from argus_data.layers.depth_maps import DepthLayer
from argus_data.layers.labels import LabelLayer, read_labels
from argus_data.layers.masks import MaskLayer

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}
"""Metres per unit of a depth file."""
SUFFIXES = {"mask": IMAGES, "depth map": (".png", ".tif", ".tiff", ".npy")}


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
    root = data_root(path, limit)
    if not (root / images).is_dir():
        raise ArgusError(f"{root / images}: no such folder; images=FOLDER names the one that holds the images")
    places = {kind: root / place for kind, place in (("mask", masks), ("depth map", depth)) if place}
    named = mask_classes(root, classes) if masks else None
    table = mask_remap(root, remap) if masks and remap else None
    metres, float_metres = metres_per_step(unit, scale)
    splits: dict[str, Split] = {}
    for name, folder in (split_folders(root / images) or {"all": root / images}).items():
        listings = _listings(name, root / images, folder, places)
        files = image_files(listings[""].paths, folder)
        matched = match(name, files, {kind: by_stem(listings[kind]) for kind in places}, limit)
        layers: list[Layer] = []
        if named:
            layers.append(MaskLayer(matched.paths["mask"], *named, table))
        if depth:
            layers.append(DepthLayer(matched.paths["depth map"], metres, low=low, high=high, floats=float_metres))
        if labels:
            prefix = PurePosixPath(folder.relative_to(root / images).as_posix())
            layers.append(LabelLayer(*read_labels(root / labels, [str(prefix / file.key) for file in matched.files])))
        splits[name] = ImageSplit(name, matched.files, layers, [*listings.values()], matched.faults)
    return splits


def _listings(name: str, images: Path, folder: Path, places: Mapping[str, Path]) -> dict[str, Listing]:
    """The images of a split, under an empty word, and its annotation files by kind."""
    beside = folder.relative_to(images)
    listings = {kind: find_files(_beside(place, name, beside), SUFFIXES[kind]) for kind, place in places.items()}
    return {"": find_files(folder), **listings}


def _beside(place: Path, split: str, folder: Path) -> Path:
    """Where the annotations of a split lie: in a folder with the name of its image folder, or one with that meaning."""
    return place / folder if (place / folder).is_dir() else split_folders(place).get(split, place / folder)


def metres_per_step(unit: str, scale: float | str) -> tuple[float, float]:
    """Metres per step of depth in whole numbers and in floats."""
    if scale == "":
        return METRES[unit], 1.0
    if unit != "mm":
        raise ArgusError(f"unit={unit} and scale={scale} both say what a step of depth is; give one of them")
    try:
        numerator, _, denominator = str(scale).partition("/")
        metres = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ArgusError(f"scale={scale} is no number of metres; give one such as 0.001 or 1/256") from error
    return metres, metres


def mask_classes(root: Path, spec: str) -> tuple[list[str], int]:
    """Class names and the index of unlabelled pixels, by what follows ``classes=``; raises ArgusError without it."""
    if not spec:
        raise ArgusError("masks need class names: classes=FILE.json, a list or {'classes': [...]}")
    names, content = _list_in(root, spec, "classes", str)
    return names, int(content.get("ignore_index", 255))


def mask_remap(root: Path, spec: str) -> list[int] | dict[int, int]:
    """A list by index, or an object with indices as keys."""
    file, _, key = spec.partition(":")
    content = read_json(root / file, f"remap=FILE.json is relative to {root}")
    table = content.get(key or "remap", content) if isinstance(content, dict) else content
    if not isinstance(table, dict):
        return _list_in(root, spec, "remap", int)[0]
    if not all(index.isdecimal() and type(label) is int for index, label in table.items()):
        raise ArgusError(f'{root / file}: remap should map indices to classes, as in {{"0": 0, "255": 1}}')
    return {int(index): label for index, label in table.items()}


def _list_in(root: Path, spec: str, option: str, kind: type) -> tuple[list[Any], Mapping[str, Any]]:
    """The list that ``FILE.json`` or ``FILE.json:KEY`` holds, and the object it is part of."""
    file, _, key = (spec, "", "") if (root / spec).is_file() or ":" not in spec else spec.rpartition(":")
    content = read_json(root / file, f"{option}=FILE.json is relative to {root}")
    values = content if isinstance(content, list) and not key else None
    if isinstance(content, dict):
        values = content.get(key or option, _by_index(content))
    if not isinstance(values, list) or not values or not all(type(value) is kind for value in values):
        what = f"key {key or option!r}" if isinstance(content, dict) else "the file"
        raise ArgusError(f"{root / file}: {what} should hold a list of {kind.__name__}; give {option}=FILE.json:KEY")
    return values, content if isinstance(content, dict) else {}


def _by_index(content: Mapping[str, Any]) -> list[Any] | None:
    """The values of an object with the keys "0", "1", ..., as an ``id2label.json`` is; None for another one."""
    values = [content.get(str(index)) for index in range(len(content))]
    return None if None in values else values
