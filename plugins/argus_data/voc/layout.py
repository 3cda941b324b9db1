"""Where Pascal VOC's files lie: the devkit's lists, folders of splits, or images and annotations side by side."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from argus_core.common.places import Address
from argus_core.errors import ArgusError, unknown
from argus_core.image import composed, is_hidden
from argus_data.files.images import SPLITS, split_folders

IMAGES = ("jpegimages", "images", "image", "imgs", "img", "data")
ANNOTATIONS = ("annotations", "annotation", "xmls", "xml", "labels")
MASKS = ("segmentationclass", "segmentationclasspng")
"""What the folders of each kind may be called, in lower case."""
SETS = ("Main", "Segmentation", "")
"""Folders of ImageSets with lists of images, the first that holds any is taken; some tools write into ImageSets."""
LOOKED = 64
"""Entries of a folder that are looked at to tell what it is; the root of a data set has fewer."""
MOST, DEPTH = 256, 3
"""Folders that are looked at to find the root, and how far down it may lie: archive/VOCdevkit/VOC2012."""


@dataclass(frozen=True)
class Place:
    """Where the files of a split lie; without ``listed`` all of them belong to it.

    ``listed`` are the names in ``list_file``: of images without their suffix, as paths below the images' folder.
    ``shared`` annotations are those of other splits too.
    """

    images: Path
    annotations: Path
    masks: Path | None
    list_file: Path | None = None
    listed: tuple[str, ...] = ()
    shared: bool = False

    @property
    def of_masks(self) -> bool:
        """Whether the list is one of images with masks."""
        return self.list_file is not None and self.list_file.parent.name.lower() == "segmentation"


def find_root(path: Path, year: str) -> Path:
    """The folder that holds the parts of a data set: ``path``, or the only one below it, or the one of ``year``."""
    if not path.is_dir():
        raise ArgusError(f"{path}: no such folder; give VOCdevkit, one of its years, or the folder of images and XML")
    roots = _devkits(path)
    if year:
        wanted = [root for root in roots if root.name.lower().endswith(year.lower())]
        if len(wanted) != 1:
            named = ", ".join(str(root.relative_to(path)) for root in wanted or roots)
            raise ArgusError(f"{path}: year={year} fits {'several' if wanted else 'none'} of {named or 'no folders'}")
        return wanted[0]
    if not roots:
        return path
    if len(roots) > 1:
        names = " and ".join(str(root.relative_to(path)) for root in roots)
        raise ArgusError(f"{path} holds {names}; give one of these folders, or year=, as in year={roots[-1].name[-4:]}")
    return roots[0]


def find_places(root: Path, sets: str, named: Mapping[str, str]) -> dict[str, Place]:
    """The splits below ``root``; ``named`` gives the list of each split where lists are not called like it."""
    image_sets = child(root, ("imagesets",))
    lists = _chosen(image_sets, _lists(image_sets, sets), named) if image_sets else {}
    if lists:
        whole = _pair(root)
        return {
            split: replace(whole, list_file=file, listed=read_list(file, whole.images)) for split, file in lists.items()
        }
    if wanted := [f"{split}={name}" for split, name in named.items() if name != split]:
        raise ArgusError(f"{root}: {' and '.join(wanted)} name lists of ImageSets, but there are none")
    if folders := split_folders(root):
        return {split: _pair(folder) for split, folder in folders.items()}
    return _mirrored(root) or {"all": _pair(root)}


def _mirrored(root: Path) -> dict[str, Place]:
    """Splits that are folders of images/; annotations/ may have such folders too, or hold the files of all splits."""
    images, annotations, masks = (child(root, names) for names in (IMAGES, ANNOTATIONS, MASKS))
    beside, apart = (split_folders(folder) if folder else {} for folder in (annotations, masks))
    return {
        split: Place(
            folder,
            beside.get(split, annotations or folder),
            apart.get(split, masks),
            shared=split not in beside and annotations is not None,
        )
        for split, folder in (split_folders(images) if images else {}).items()
    }


def voc_layout(path: Path) -> str:
    """By what a folder is known as Pascal VOC; empty for any other."""
    if not path.is_dir():
        return ""
    for root in _devkits(path):
        if masks := child(root, MASKS):
            return f"{masks.relative_to(path)}/"
    for folder in [*_devkits(path), *split_folders(path).values()] or [path]:
        images, annotations = (child(folder, names) for names in (IMAGES, ANNOTATIONS))
        place = annotations or images or folder
        files = islice(chain(place.glob("*.xml"), place.glob("*/*.xml")), LOOKED)
        if file := next((file for file in files if not is_hidden(file.name) and _begins_as_voc(file)), None):
            return f"<annotation> in {file.relative_to(path)}"
    return ""


def child(folder: Path, names: Collection[str]) -> Path | None:
    """The first of these subfolders that there is, in any case."""
    there = {entry.name.lower(): entry for entry in sorted(_folders(folder), reverse=True)}
    return next((there[name] for name in names if name in there), None)


def read_list(file: Path, images: Path) -> tuple[str, ...]:
    """The names in a list of images, without suffixes; columns after a name, as those of VOC's lists, are left out."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArgusError(f"{file}: cannot be read as a list of images: {error}") from error
    names = [_name(line.strip().replace("\\", "/"), images) for line in lines if line.strip()]
    if outside := [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]:
        raise ArgusError(f"{file}: {outside[0]!r} does not lie in {images}; give names of images there, as in 000005")
    if not names:
        raise ArgusError(f"{file} names no image; write one name per line, without suffix")
    return tuple(dict.fromkeys(map(composed, names)))


def _name(line: str, images: Path) -> str:
    """The name in a line, which may have blanks, a suffix, or the folder of the images before it."""
    words = line.split()
    number = len(words) > 1 and words[-1] in ("1", "0", "-1")
    name = " ".join(words[:-1]) if number and not (images / line).exists() else line
    name = name.removeprefix("./").removeprefix(f"{images.name}/").rpartition(f"/{images.name}/")[2]
    return name.rpartition(".")[0] if name[:1] != "/" and (images / name).is_file() else name


def _devkits(path: Path) -> list[Path]:
    """The folders laid out as VOC's devkit: ``path`` alone, or those below it, such as VOCdevkit/VOC2012."""
    found: list[Path] = []
    waiting, looked = deque([(path, 0)]), 0
    while waiting and looked < MOST:
        folder, depth = waiting.popleft()
        below, looked = _folders(folder)[:LOOKED], looked + 1
        if _is_devkit(below):
            found.append(folder)
        elif depth < DEPTH:
            waiting.extend((child, depth + 1) for child in below)
    return found


def _is_devkit(folders: Sequence[Path]) -> bool:
    """Whether these are the subfolders of a year of VOC."""
    there = {folder.name.lower() for folder in folders}
    return not there.isdisjoint((ANNOTATIONS[0], *MASKS)) and not there.isdisjoint((IMAGES[0], "imagesets"))


def _folders(folder: Path) -> list[Path]:
    """The subfolders of a folder, in order of name; none where it cannot be opened."""
    try:
        # scandir is faster than Path.iterdir where there are a great many files.
        entries = folder.iterdir() if isinstance(folder, Address) else os.scandir(folder)
        return sorted(folder / entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError:
        return []


def _pair(folder: Path) -> Place:
    """Images and annotations in a folder, beside each other or each in a subfolder."""
    images = child(folder, IMAGES) or folder
    return Place(images, child(folder, ANNOTATIONS) or images, child(folder, MASKS))


def _begins_as_voc(file: Path) -> bool:
    with file.open("rb") as stream:
        return b"<annotation" in stream.read(1 << 12).lower()


def _lists(image_sets: Path, sets: str) -> dict[str, Path]:
    """The lists of images by name in lower case, without those of single classes."""
    wanted = [sets] if sets else SETS
    for name in wanted:
        folder = child(image_sets, (name.lower(),)) if name else image_sets
        files = sorted(folder.glob("*.txt")) if folder else []
        lists = {file.stem.lower(): file for file in files if not is_hidden(file.name)}
        # cat_train.txt tells which images of train.txt show a cat.
        ends = tuple(f"_{name}" for name in lists)
        if general := {name: file for name, file in lists.items() if not name.endswith(ends)}:
            return general
    if sets:
        there = sorted(entry.name for entry in image_sets.iterdir() if entry.is_dir())
        raise unknown(f"folder of {image_sets}", sets, there)
    return {}


def _chosen(image_sets: Path, lists: Mapping[str, Path], named: Mapping[str, str]) -> dict[str, Path]:
    """The list of each split."""
    chosen: dict[str, Path] = {}
    for split, name in named.items():
        names: Sequence[str] = SPLITS[split] if name == split else (name.lower(),)
        file = next((lists[one] for one in names if one in lists), None)
        if file is None and name != split:
            raise unknown(f"list of {image_sets}", name, lists)
        if file is not None and (name != split or file not in chosen.values()):
            chosen[split] = file
    if "trainval" in lists and not {"train", "val"} & chosen.keys():
        chosen = {"train" if chosen else "all": lists["trainval"], **chosen}
    return chosen or ({"all": next(iter(lists.values()))} if len(lists) == 1 else {})
