"""Where the images that a table names lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.errors import ArgusError
from argus_core.image import composed, list_images, suffix_of
from argus_data.files.images import SPLITS, image_files
from argus_data.files.local_names import SAMPLE, local_names, spelt_on_disk
from argus_data.files.matching import stem

FOLDERS = ("images", "image", "imgs", "img")


def find_images(file: Path, names: Sequence[str], images: str, split: str) -> tuple[Path, list[str]]:
    """The folder of the images that ``file`` names for a split, and the name of each in it; empty where none is there.

    Names without a suffix, as ids are, find the image of that stem. Raises ArgusError where no image is there at all.
    """
    base = file.parent / images
    splits = SPLITS.get(split, ())
    words = () if images else (*(f"images/{word}" for word in splits), *splits, file.stem, *FOLDERS)
    below = [base / word for word in words if (base / word).is_dir()]
    bare = not any(suffix_of(name) for name in names[:SAMPLE])
    # A name is that of a file first where it says; an id first in the folder of its split, as others may have it too.
    folders = [*below, base] if bare else [base, *below]
    for folder in folders:
        place, local = (folder, _by_stem(folder, names)) if bare else _by_name(folder, names)
        if any(local):
            return place, local
    looked = ", ".join(map(str, folders))
    raise ArgusError(
        f"{file}: none of the {len(names)} images that it names is there, such as {names[0]!r}; looked in {looked}; "
        "images=FOLDER names another"
    )


def _by_name(folder: Path, names: Sequence[str]) -> tuple[Path, list[str]]:
    place, local = local_names(names, folder)
    return place, [name if name and spelt_on_disk(place, name).is_file() else "" for name in local]


def _by_stem(folder: Path, names: Sequence[str]) -> list[str]:
    """The images in a folder by their path without a suffix, or by their name alone; ArgusError where several fit."""
    keys = [file.key for file in image_files(list_images(folder).paths, folder)]
    found: dict[str, list[str]] = {}
    for key in keys:
        for name in dict.fromkeys((stem(key), stem(key).rpartition("/")[2])):
            found.setdefault(name, []).append(key)
    images = [found.get(composed(name), [""]) for name in names]
    if several := next((keys for keys in images if len(keys) > 1), None):
        raise ArgusError(
            f"{folder}: {several[0]} and {several[1]} have the same name; images=FOLDER says which are meant"
        )
    return [keys[0] for keys in images]
