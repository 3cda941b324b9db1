"""Images in folders, with masks, depth maps or class labels that bear their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.files import read_json
from argus_data.images import SUFFIXES, Layer, find_files
from argus_data.masks import MaskLayer
from argus_data.matching import Matched, MatchedSplit, by_stem, check_limit, match

__all__ = ["open_images"]

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}
"""Folders of each split; the first that is there counts."""

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}
"""Metres per unit of a depth file."""

MASKS, DEPTHS = SUFFIXES, (".png", ".tif", ".tiff", ".npy")


@dataclass(frozen=True)
class _Layout:
    """Where everything of a data set lies, relative to ``root``; an empty text means that it has none."""

    root: Path
    masks: str
    depth: str
    labels: str
    classes: str
    remap: str
    scale: float

    def layers(self, folder: str, matched: Matched) -> list[Layer]:
        """The layers of the split in the sub-folder ``folder``."""
        found: list[Layer] = []
        if self.masks:
            classes, ignore = self._classes()
            remap = _pick(self.root, self.remap, "remap", int)[0] if self.remap else None
            found.append(MaskLayer(matched.paths["mask"], classes, ignore, remap))
        if self.depth:
            from argus_data.depth_maps import DepthLayer

            found.append(DepthLayer(matched.paths["depth map"], self.scale))
        if self.labels:
            from argus_data.labels import LabelLayer, read_labels

            keys = [(PurePosixPath(folder) / file.key).as_posix() for file in matched.files]
            found.append(LabelLayer(*read_labels(self.root / self.labels, keys)))
        return found

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
    limit: int = 0,
) -> dict[str, Split]:
    """The splits of PATH/IMAGES/{train,val,test}, or one split ``all`` if PATH/IMAGES has none of these folders.

    ``masks`` and ``depth`` name folders beside IMAGES with the same splits and file names; ``labels`` a file with
    the class of every image. ``classes=FILE.json`` holds the names of a mask's indices as a list, or under
    "classes" with an optional "ignore_index" (255); ``FILE.json:KEY`` picks another key. ``remap=FILE.json:KEY`` is a
    list that gives each index in the masks its class. ``unit`` is that of whole-number depth. Images without an
    annotation are left out, which is a fault. ``limit`` keeps the first images of every split; 0 keeps all.
    """
    root = Path(path).expanduser()
    check_limit(limit)
    if not (root / images).is_dir():
        raise ArgusError(f"{root / images}: no such folder; images=FOLDER names the one that holds the images")
    layout = _Layout(root, masks, depth, labels, classes, remap, METRES[unit])
    wanted = {"mask": (masks, MASKS), "depth map": (depth, DEPTHS)}
    splits: dict[str, Split] = {}
    for name, folder in _splits(root / images).items():
        files = find_files(root / images / folder)
        kinds = {kind: by_stem(root / place / folder, ends) for kind, (place, ends) in wanted.items() if place}
        matched = match(name, files, kinds, limit)
        splits[name] = MatchedSplit(name, matched, layout.layers(folder, matched))
    return splits


def _splits(folder: Path) -> Mapping[str, str]:
    """The sub-folder of each split; none of them: everything is one split."""
    found = {name: next((f for f in folders if (folder / f).is_dir()), "") for name, folders in SPLITS.items()}
    return {name: sub for name, sub in found.items() if sub} or {"all": ""}


def _pick(root: Path, spec: str, option: str, kind: type) -> tuple[list[Any], Mapping[str, Any]]:
    """The list that ``FILE.json`` or ``FILE.json:KEY`` holds, and the object it was found in."""
    file, _, key = spec.partition(":")
    content = read_json(root / file, f"{option}=FILE.json is relative to {root}")
    values = content if isinstance(content, list) and not key else None
    if isinstance(content, dict):
        values = content.get(key or option)
    if not isinstance(values, list) or not values or not all(type(value) is kind for value in values):
        what = f"key {key or option!r}" if isinstance(content, dict) else "the file"
        raise ArgusError(f"{root / file}: {what} should hold a list of {kind.__name__}; give {option}=FILE.json:KEY")
    return values, content if isinstance(content, dict) else {}
