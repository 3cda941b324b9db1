"""Class folders: ``train/CLASS/image.jpg`` and so on, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, counted
from argus_core.image import composed, is_hidden, list_images
from argus_data.files.images import ImageSplit, data_root, image_files, no_images, split_folders
from argus_data.layers.labels import LabelLayer, evenly


def open_folder(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """PATH/SPLIT/CLASS/images of train, val and test; or PATH/CLASS/images as one split, ``all``.

    Classes are the folders of all splits in order of name. ``limit`` keeps that many images of each split, spread
    evenly over its classes; 0 keeps all. Raises ArgusError for a folder that holds no such data set.
    """
    root = data_root(path, limit)
    if not root.is_dir():
        raise ArgusError(f"{root}: no such folder; give the one that holds train/CLASS/images")
    folders = split_folders(root) or {"all": root}
    classes = sorted({name for split in folders.values() for name in _class_folders(split)})
    if not classes:
        loose = sum(len(list_images(folder).paths) for folder in folders.values())
        but = f", but {counted(loose, 'image')} without a class; images without classes are images:PATH"
        raise ArgusError(
            f"{root} holds no class folders{but if loose else ''}; looked for {root}/train/CLASS and {root}/CLASS"
        )
    if "all" in folders and len(classes) == 1 and split_folders(root / _class_folders(root)[classes[0]]):
        raise ArgusError(f"{root} holds one folder, in which the splits lie: give {root / classes[0]}")
    return {name: class_split(name, folder, classes, classes, limit) for name, folder in folders.items()}


def class_split(name: str, folder: Path, folders: Sequence[str], classes: Sequence[str], limit: int) -> ImageSplit:
    """The images below ``folder`` in class folders called ``folders``, whose classes are called ``classes``."""
    listing = list_images(folder)
    groups: dict[str, list[Path]] = {class_folder: [] for class_folder in folders}
    strays: list[Path] = []
    for path in listing.paths:
        parts = path.relative_to(folder).parts
        group = groups.get(composed(parts[0])) if len(parts) > 1 else None
        (strays if group is None else group).append(path)
    paths = [path for group in groups.values() for path in group]
    labels = [label for label, group in enumerate(groups.values()) for _ in group]
    if not paths:
        raise no_images(listing)
    kept = evenly(labels, limit)
    layer = LabelLayer(classes, [labels[n] for n in kept])
    files = image_files([paths[n] for n in kept], folder)
    return ImageSplit(name, files, [layer], [listing], _faults(name, folder, groups, strays))


def _class_folders(folder: Path) -> dict[str, str]:
    """The names of the class folders by the name of their class, which is that name with composed letters."""
    return {
        composed(child.name): child.name
        for child in sorted(folder.iterdir())
        if child.is_dir() and not is_hidden(child.name)
    }


def _faults(name: str, folder: Path, groups: Mapping[str, Sequence[Path]], strays: Sequence[Path]) -> list[Fault]:
    """Classes without images or without a folder in this split, and images outside class folders."""
    there = _class_folders(folder)
    empty = [
        Fault(
            f"{name}, class {class_name}",
            "holds no images" if class_name in there else "there is no such folder",
            kind="classes without images",
        )
        for class_name, paths in groups.items()
        if not paths
    ]
    if not strays:
        return empty
    what = f"{counted(len(strays), 'image')} outside class folders, such as {strays[0].relative_to(folder)}"
    return [*empty, Fault(f"{name}, {folder}", what, dropped=True)]
