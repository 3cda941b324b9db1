"""NYU Depth V2 with the usual lists of training and test images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from argus_core.data import Split
from argus_core.errors import ArgusError, Fault
from argus_data.files.images import ImageFile, ImageSplit, data_root
from argus_data.layers.depth_maps import DepthLayer

LISTS = {
    "train": ("nyu_train.txt", "nyudepthv2_train_files_with_gt.txt"),
    "val": ("nyu_test.txt", "nyudepthv2_test_files_with_gt.txt"),
}
FOLDERS = {"train": ("", "sync", "train"), "val": ("", "test", "official_splits/test")}
"""Below the data set, where the paths of a list may start."""


@dataclass(frozen=True)
class _Entry:
    line: int
    image: str
    depth: str


def open_nyu(path: str | Path, *, limit: int = 0) -> dict[str, Split]:
    """``train`` (24,231 images) and ``val`` (the 654 official test images), as far as their lists are there.

    ``path`` holds nyu_train.txt and nyu_test.txt, each line an image, its 16-bit depth in millimetres and the focal
    length, with paths from there (or from sync/, train/, test/ or official_splits/test/ there), as BTS (Lee 2019)
    released them. An entry whose depth is "None" is left out. ``limit`` keeps the first images of every split; 0
    keeps all.
    """
    root = data_root(path, limit)
    lists = {name: root / file for name, files in LISTS.items() for file in files if (root / file).is_file()}
    if not lists:
        looked = ", ".join(file for files in LISTS.values() for file in files)
        raise ArgusError(f"{root} holds no NYU Depth V2; looked for {looked}")
    return {name: _open_split(name, root, file, limit) for name, file in lists.items()}


def _open_split(name: str, root: Path, file: Path, limit: int) -> ImageSplit:
    entries, faults = _read_list(file)
    entries = entries[:limit] if limit else entries
    if not entries:
        raise ArgusError(f"{file} names no image with depth")
    folder = _folder(name, root, file, entries[0])
    images = [ImageFile(entry.image, folder / entry.image) for entry in entries]
    return ImageSplit(name, images, [DepthLayer([folder / entry.depth for entry in entries])], faults=faults)


def _read_list(file: Path) -> tuple[list[_Entry], list[Fault]]:
    """The entries with depth, and a fault for each of the others."""
    entries: dict[str, _Entry] = {}
    faults = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = [word.lstrip("/") for word in line.split()]
        if not words:
            continue
        if len(words) not in (2, 3):
            raise ArgusError(f"{file}, line {number}: {line!r} is not an image, its depth and the focal length")
        entry = _Entry(number, words[0], words[1])
        if entry.depth == "None":
            faults.append(
                Fault(f"{file.name}, line {number}", f"{entry.image} has no depth", True, "images without depth")
            )
        elif entry.image in entries:
            raise ArgusError(
                f"{file}, line {number}: {entry.image} is already in line {entries[entry.image].line}; keep one"
            )
        else:
            entries[entry.image] = entry
    return list(entries.values()), faults


def _folder(name: str, root: Path, file: Path, first: _Entry) -> Path:
    """Where the paths of a list start, judged by its first image."""
    for below in FOLDERS[name]:
        if (root / below / first.image).is_file():
            return root / below
    looked = ", ".join(str(root / below / first.image) for below in FOLDERS[name])
    raise ArgusError(f"the first image of {file} is not there; looked for {looked}")
