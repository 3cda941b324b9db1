"""ImageNet-1k as it lies on disk: synset folders, with the validation images in folders too or flat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_data.folder import class_split
from argus_data.images import ImageFile, ImageSplit, find_files, image_files, split_folders
from argus_data.labels import LabelLayer

__all__ = ["open_imagenet"]

DEVKIT = "ILSVRC2012_devkit_t12/data"
MAPPING = "LOC_synset_mapping.txt"


def open_imagenet(path: str | Path, *, val_labels: str = "", limit: int = 0) -> dict[str, Split]:
    """PATH/train/nXXXXXXXX/*.JPEG, and PATH/val the same or flat (ILSVRC2012_val_*.JPEG).

    For a flat ``val`` the labels come from ``val_labels`` (a synset per line, in order of file name) or from the
    devkit below PATH. Classes are called by their synset, with words where PATH holds LOC_synset_mapping.txt. ``limit``
    keeps that many images per split, spread over the classes; 0 keeps all.
    """
    root = Path(path).expanduser()
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
    folders = split_folders(root)
    train, val = folders.get("train", root / "train"), folders.get("val")
    synsets = _synset_folders(train)
    if not synsets:
        raise ArgusError(f"{train} holds no synset folders such as n01440764; give the folder that holds train/")
    classes = _names(root, synsets)
    splits: dict[str, Split] = {"train": class_split("train", train, synsets, classes, limit)}
    if val is not None:
        splits["val"] = (
            class_split("val", val, synsets, classes, limit)
            if _synset_folders(val)
            else _flat(root, val, synsets, classes, val_labels, limit)
        )
    return splits


def _synset_folders(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("n*") if one.is_dir())


def _names(root: Path, synsets: Sequence[str]) -> list[str]:
    """A name per synset: itself, or itself with its words."""
    file = root / MAPPING
    if not file.is_file():
        return list(synsets)
    words = dict(line.split(" ", 1) for line in file.read_text(encoding="utf-8-sig").splitlines() if " " in line)
    return [f"{one} {words[one].strip()}" if one in words else one for one in synsets]


def _flat(
    root: Path, val: Path, synsets: Sequence[str], classes: Sequence[str], val_labels: str, limit: int
) -> ImageSplit:
    """Validation images in one folder, their labels in order of file name."""
    listed = find_files(val)
    files = image_files(listed.paths, val)
    named, source = _val_synsets(root, val_labels)
    if len(named) != len(files):
        raise ArgusError(f"{source} labels {len(named)} images, {val} holds {len(files)}; give matching ones")
    strange = sorted(set(named) - set(synsets))
    if strange:
        raise ArgusError(f"{source} names {', '.join(strange[:3])}, but no folder of training images has that name")
    number = {one: label for label, one in enumerate(synsets)}
    labels = [number[one] for one in named]
    kept = _evenly(files, labels, limit)
    return ImageSplit("val", [files[n] for n in kept], [LabelLayer(classes, [labels[n] for n in kept])], [listed])


def _val_synsets(root: Path, val_labels: str) -> tuple[list[str], Path]:
    """The synset of every validation image, and the file that says so."""
    if val_labels:
        file = Path(val_labels).expanduser()
        file = file if file.is_absolute() else root / file
        if not file.is_file():
            raise ArgusError(f"val_labels: there is no file {file}")
        return file.read_text(encoding="utf-8-sig").split(), file
    file = root / DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    meta = root / DEVKIT / "meta.mat"
    if not file.is_file() or not meta.is_file():
        raise ArgusError(
            f"{root}/val is flat and nothing says what its images show: unpack the devkit to {root / DEVKIT}, "
            "or give val_labels=FILE with a synset per line"
        )
    by_number = _devkit_synsets(meta)
    numbers = [int(number) for number in file.read_text(encoding="utf-8-sig").split()]
    strange = sorted(set(numbers) - set(by_number))
    if strange:
        raise ArgusError(f"{file} names synset {strange[0]}, which {meta} does not have; unpack the devkit again")
    return [by_number[number] for number in numbers], file


def _devkit_synsets(meta: Path) -> dict[int, str]:
    """The devkit's own numbers of the synsets, which are not in order of name."""
    from scipy.io import loadmat

    rows: Any = loadmat(str(meta), squeeze_me=True)["synsets"]
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}


def _evenly(files: Sequence[ImageFile], labels: Sequence[int], limit: int) -> list[int]:
    """The images that are kept, in order: of each class the first ones, evenly."""
    if not limit or limit >= len(files):
        return list(range(len(files)))
    turn: dict[int, int] = {}
    ranked = []
    for number, label in enumerate(labels):
        turn[label] = turn.get(label, 0) + 1
        ranked.append((turn[label], label, number))
    return sorted(number for _, _, number in sorted(ranked)[:limit])
