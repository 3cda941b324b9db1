"""Class folders: ``train/CLASS/image.jpg`` and so on, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, counted
from argus_core.image import composed, is_hidden, list_images
from argus_data.images import ImageSplit, image_files, no_images, split_folders
from argus_data.labels import LabelLayer

__all__ = ["open_folder"]

EMPTY = "classes without images"


class FolderLayer(LabelLayer):
    """The labels that folders give, and what is odd about the folders."""

    def __init__(self, classes: Sequence[str], labels: Sequence[int], faults: Sequence[Fault]) -> None:
        super().__init__(classes, labels)
        self._faults = list(faults)

    def faults(self) -> list[Fault]:
        """Classes without images or without a folder in this split, and images outside class folders."""
        return list(self._faults)


def open_folder(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """PATH/SPLIT/CLASS/images of train, val and test; or PATH/CLASS/images as one split, ``all``.

    Classes are the folders of all splits in order of name. ``limit`` keeps that many images of each split, spread
    evenly over its classes; 0 keeps all. Raises ArgusError for a folder that holds no such data set.
    """
    root = Path(path).expanduser()
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
    if not root.is_dir():
        raise ArgusError(f"{root}: no such folder; give the one that holds train/CLASS/images")
    folders = split_folders(root) or {"all": root}
    classes = sorted({name for split in folders.values() for name in _class_folders(split)})
    if not classes:
        loose = sum(len(list_images(folder).paths) for folder in folders.values())
        but = (
            f", but {counted(loose, 'image')} without a class; images without classes are images:PATH" if loose else ""
        )
        raise ArgusError(f"{root} holds no class folders{but}; looked for {root}/train/CLASS and {root}/CLASS")
    if "all" in folders and len(classes) == 1 and split_folders(root / _class_folders(root)[classes[0]]):
        raise ArgusError(f"{root} holds one folder, in which the splits lie: give {root / classes[0]}")
    return {name: class_split(name, folder, classes, classes, limit) for name, folder in folders.items()}


def class_split(name: str, folder: Path, folders: Sequence[str], classes: Sequence[str], limit: int) -> ImageSplit:
    """The images below ``folder`` in class folders called ``folders``, whose classes are called ``classes``."""
    listed = list_images(folder)
    groups: dict[str, list[Path]] = {one: [] for one in folders}
    strange: list[Path] = []
    for path in listed.paths:
        inside = path.relative_to(folder).parts
        group = groups.get(composed(inside[0])) if len(inside) > 1 else None
        (strange if group is None else group).append(path)
    kept = _spread([len(paths) for paths in groups.values()], limit)
    chosen = [(path, label) for label, paths in enumerate(groups.values()) for path in paths[: kept[label]]]
    if not chosen:
        raise no_images(listed)
    faults = [*_empty(name, folder, groups), *_outside(name, folder, strange)]
    files = image_files([path for path, _ in chosen], folder)
    return ImageSplit(name, files, [FolderLayer(classes, [label for _, label in chosen], faults)], [listed])


def _class_folders(folder: Path) -> dict[str, str]:
    """The class folders by the name of their class, which is composed where theirs is not."""
    return {
        composed(one.name): one.name for one in sorted(folder.iterdir()) if one.is_dir() and not is_hidden(one.name)
    }


def _empty(name: str, folder: Path, groups: Mapping[str, Sequence[Path]]) -> list[Fault]:
    """Classes that have no images in a split."""
    there = _class_folders(folder)
    return [
        Fault(f"{name}, class {one}", "holds no images" if one in there else "there is no such folder", kind=EMPTY)
        for one, paths in groups.items()
        if not paths
    ]


def _outside(name: str, folder: Path, strange: Sequence[Path]) -> list[Fault]:
    """Images that lie in the split's folder itself, where nothing says their class, or in a folder that is no class."""
    if not strange:
        return []
    what = f"{counted(len(strange), 'image')} outside class folders, such as {strange[0].relative_to(folder)}"
    return [Fault(f"{name}, {folder}", what, dropped=True)]


def _spread(sizes: Sequence[int], limit: int) -> list[int]:
    """How many of each class are kept: one more of each in turn until ``limit`` is reached."""
    if not limit or limit >= sum(sizes):
        return list(sizes)
    kept = [0] * len(sizes)
    while sum(kept) < limit:
        for label, size in enumerate(sizes):
            if kept[label] < size and sum(kept) < limit:
                kept[label] += 1
    return kept
