"""ADE20K's scene parsing benchmark as published: ADEChallengeData2016."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.image import composed
from argus_data.files.images import ImageFile, ImageSplit, data_root, find_files, image_files
from argus_data.files.matching import by_stem, match, stem
from argus_data.layers.masks import MaskLayer

SPLITS = {"train": "training", "val": "validation"}
CLASSES = 150
IGNORE = 255
REMAP = (IGNORE, *range(CLASSES))
"""0 in a mask is everything else; classes are counted from 1."""


def open_ade20k(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """The splits ``train`` and ``val`` of the folder with images/{training,validation} and annotations/ likewise.

    Class names come from objectInfo150.txt. ADE20K_object150_train.txt and ADE20K_object150_val.txt name the images
    of a split where they are there; otherwise all count. ``limit`` keeps the first of every split; 0 keeps all.
    """
    root = data_root(path, limit)
    folders = {name: folder for name, folder in SPLITS.items() if (root / "images" / folder).is_dir()}
    if not folders:
        raise ArgusError(f"{root} is not ADEChallengeData2016: it has neither images/training nor images/validation")
    classes = read_classes(root / "objectInfo150.txt")
    splits: dict[str, Split] = {}
    for name, folder in folders.items():
        images, masks = find_files(root / "images" / folder), find_files(root / "annotations" / folder, (".png",))
        files = _listed(root / f"ADE20K_object150_{name}.txt", image_files(images.paths, images.folder))
        matched = match(name, files, {"mask": by_stem(masks)}, limit)
        layers = [MaskLayer(matched.paths["mask"], classes, IGNORE, REMAP)]
        splits[name] = ImageSplit(name, matched.files, layers, [images, masks], matched.faults)
    return splits


def read_classes(path: Path) -> list[str]:
    """The 150 names of objectInfo150.txt, a table whose first column is the number and whose last is the name."""
    if not path.is_file():
        raise ArgusError(f"{path}: no such file; it comes with ADEChallengeData2016 and names the classes")
    rows = [re.split(r"\t+|\s{2,}", line.strip()) for line in path.read_text(encoding="utf-8-sig").splitlines()]
    names = {int(row[0]): row[-1] for row in rows if row[0].isdigit() and len(row) > 1}
    if sorted(names) != list(range(1, CLASSES + 1)):
        raise ArgusError(f"{path} should number its classes 1 to {CLASSES}; it has {len(names)} numbered rows")
    return [names[number] for number in sorted(names)]


def _listed(path: Path, files: Sequence[ImageFile]) -> Sequence[ImageFile]:
    """The images that the official list ``path`` names, in order of name; all of them if there is no list."""
    if not path.is_file():
        return files
    wanted = {
        composed(Path(line.split()[0]).stem)
        for line in path.read_text(encoding="utf-8-sig").splitlines()
        if line.strip()
    }
    there = {Path(stem(file.key)).name for file in files}
    if missing := sorted(wanted - there):
        raise ArgusError(f"{path} names {len(missing)} images that are not there, such as {missing[0]}")
    return [file for file in files if Path(stem(file.key)).name in wanted]
