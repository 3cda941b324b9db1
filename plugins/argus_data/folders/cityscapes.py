"""Cityscapes with fine annotations, as published, in its 19 training classes."""

from __future__ import annotations

from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_data.files.images import ImageFile, ImageSplit, data_root, find_files, image_files
from argus_data.files.matching import match, stem
from argus_data.layers.masks import MaskLayer

CLASSES = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""Training classes in order, with the numbers they have in ``labelIds`` files (cityscapesScripts' labels)."""

IGNORE = 255
IMAGE, MASK = "_leftImg8bit", "_gtFine_"


def open_cityscapes(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """The splits ``train`` and ``val`` of leftImg8bit/SPLIT/CITY/ with gtFine/SPLIT/CITY/ beside it.

    Masks are *_labelTrainIds.png where every image of a split has one, otherwise *_labelIds.png, whose other classes
    are ignored. ``limit`` keeps the first images of every split; 0 keeps all.
    """
    root = data_root(path, limit)
    names = [name for name in ("train", "val") if (root / "leftImg8bit" / name).is_dir()]
    if not names:
        raise ArgusError(f"{root} is not Cityscapes: it has neither leftImg8bit/train nor leftImg8bit/val")
    return {name: _open_split(root, name, limit) for name in names}


def _open_split(root: Path, name: str, limit: int) -> ImageSplit:
    listing = find_files(root / "leftImg8bit" / name)
    files = [file for file in image_files(listing.paths, listing.folder) if stem(file.key).endswith(IMAGE)]
    masks = _masks(root / "gtFine" / name, files, "labelTrainIds")
    remap = None
    if len(masks) < len(files):
        masks = _masks(root / "gtFine" / name, files, "labelIds")
        train_ids = {number: index for index, number in enumerate(CLASSES.values())}
        remap = [train_ids.get(number, IGNORE) for number in range(max(train_ids) + 1)]
    matched = match(name, files, {"mask": masks}, limit)
    layers = [MaskLayer(matched.paths["mask"], list(CLASSES), IGNORE, remap)]
    return ImageSplit(name, matched.files, layers, [listing], matched.faults)


def _masks(folder: Path, files: list[ImageFile], kind: str) -> dict[str, Path]:
    """The masks of a kind that exist, by the stem of their image."""
    paths = {stem(file.key): folder / f"{stem(file.key).removesuffix(IMAGE)}{MASK}{kind}.png" for file in files}
    return {key: path for key, path in paths.items() if path.is_file()}
