"""ImageNet-1k as it lies on disk: synset folders, with the validation images in folders too or flat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_data.files.images import ImageSplit, data_root, find_files, image_files, split_folders
from argus_data.folders.class_folders import class_split
from argus_data.layers.labels import LabelLayer, evenly

DEVKIT = "ILSVRC2012_devkit_t12/data"
MAPPING = "LOC_synset_mapping.txt"


def open_imagenet(path: str | Path, *, val_labels: str = "", limit: int = 0) -> dict[str, Split]:
    """PATH/train/nXXXXXXXX/*.JPEG, and PATH/val the same or flat (ILSVRC2012_val_*.JPEG).

    For a flat ``val`` the labels come from ``val_labels`` (a synset per line, in order of file name) or from the
    devkit below PATH. Classes are called by their synset, with words where PATH holds LOC_synset_mapping.txt. ``limit``
    keeps that many images per split, spread over the classes; 0 keeps all.
    """
    root = data_root(path, limit)
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
            else _flat_split(root, val, synsets, classes, val_labels, limit)
        )
    return splits


def _synset_folders(folder: Path) -> list[str]:
    return sorted(child.name for child in folder.glob("n*") if child.is_dir())


def _names(root: Path, synsets: Sequence[str]) -> list[str]:
    """A name per synset: itself, followed by its words where they are known."""
    file = root / MAPPING
    lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    words = dict(line.split(" ", 1) for line in lines if " " in line)
    return [f"{synset} {words[synset].strip()}" if synset in words else synset for synset in synsets]


def _flat_split(
    root: Path, val: Path, synsets: Sequence[str], classes: Sequence[str], val_labels: str, limit: int
) -> ImageSplit:
    """Validation images in one folder, with labels in order of file name."""
    listing = find_files(val)
    files = image_files(listing.paths, val)
    names, source = _val_synsets(root, val_labels)
    if len(names) != len(files):
        raise ArgusError(f"{source} labels {len(names)} images, {val} holds {len(files)}; give matching ones")
    strange = sorted(set(names) - set(synsets))
    if strange:
        raise ArgusError(f"{source} names {', '.join(strange[:3])}, but no folder of training images has that name")
    index = {synset: label for label, synset in enumerate(synsets)}
    labels = [index[name] for name in names]
    kept = evenly(labels, limit)
    return ImageSplit("val", [files[n] for n in kept], [LabelLayer(classes, [labels[n] for n in kept])], [listing])


def _val_synsets(root: Path, val_labels: str) -> tuple[list[str], Path]:
    """The synset of every validation image, and the file that lists them."""
    if val_labels:
        file = root / Path(val_labels).expanduser()
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
    synsets = _devkit_synsets(meta)
    numbers = [int(number) for number in file.read_text(encoding="utf-8-sig").split()]
    strange = sorted(set(numbers) - set(synsets))
    if strange:
        raise ArgusError(f"{file} names synset {strange[0]}, which {meta} does not have; unpack the devkit again")
    return [synsets[number] for number in numbers], file


def _devkit_synsets(meta: Path) -> dict[int, str]:
    """Synsets by the devkit's own numbers, which are not in order of name."""
    from scipy.io import loadmat

    rows: Any = loadmat(str(meta), squeeze_me=True)["synsets"]
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}
