"""Class folders: ``train/CLASS/image.jpg`` and so on, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.data import Fault, Split
from argus_core.errors import ArgusError, counted
from argus_data.images import SUFFIXES, ImageFile, ImageSplit
from argus_data.labels import LabelLayer

__all__ = ["open_folder"]

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


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
    found = {name: _first(root, names) for name, names in SPLITS.items()}
    folders = {name: folder for name, folder in found.items() if folder is not None} or {"all": root}
    classes = sorted({folder.name for split in folders.values() for folder in _class_folders(split)})
    if not classes:
        loose = sum(len(_loose(folder)) for folder in folders.values())
        but = (
            f", but {counted(loose, 'image')} without a class; images without classes are images:PATH" if loose else ""
        )
        raise ArgusError(f"{root} holds no class folders{but}; looked for {root}/train/CLASS and {root}/CLASS")
    return {name: class_split(name, folder, classes, classes, limit) for name, folder in folders.items()}


def class_split(name: str, folder: Path, folders: Sequence[str], classes: Sequence[str], limit: int) -> ImageSplit:
    """The images below ``folder`` in class folders called ``folders``, whose classes are called ``classes``."""
    groups = [_images(folder / one) for one in folders]
    faults = [
        Fault(f"{name}, class {one}", "there is no such folder" if not (folder / one).is_dir() else "holds no images")
        for one, paths in zip(folders, groups, strict=True)
        if not paths
    ]
    if loose := _loose(folder):
        what = f"{counted(len(loose), 'image')} outside class folders, such as {loose[0].name}"
        faults.append(Fault(f"{name}, {folder}", what, dropped=True))
    kept = _spread([len(paths) for paths in groups], limit)
    chosen = [(path, label) for label, paths in enumerate(groups) for path in paths[: kept[label]]]
    if not chosen:
        raise ArgusError(f"{folder} holds no images in class folders; looked for {' '.join(SUFFIXES)}")
    files = [ImageFile(path.relative_to(folder).as_posix(), path) for path, _ in chosen]
    return ImageSplit(name, files, [FolderLayer(classes, [label for _, label in chosen], faults)])


def _first(root: Path, names: Sequence[str]) -> Path | None:
    found = [root / name for name in names if (root / name).is_dir()]
    if len(found) > 1:
        raise ArgusError(f"{' and '.join(map(str, found))} are the same split; keep one of them")
    return found[0] if found else None


def _class_folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))


def _loose(folder: Path) -> list[Path]:
    """Images that lie in a split's folder itself, where nothing says their class."""
    return [one for one in sorted(folder.iterdir()) if _is_image(one)]


def _images(folder: Path) -> list[Path]:
    """Every image below a class folder, in order of name; hidden files are none."""
    if not folder.is_dir():
        return []
    return sorted(filter(_is_image, folder.rglob("*")))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


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
