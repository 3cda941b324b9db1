"""Where COCO's annotation files and their images lie, as published and as annotation tools write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from argus_core.errors import ArgusError
from argus_core.image import is_hidden
from argus_data.files.images import SPLITS

LAYOUTS = (
    "annotations/instances_{split}*.json",  # as published; CVAT's projects
    "annotations/image_info_{split}-dev*.json",
    "{split}/_annotations.coco.json",  # Roboflow
    "annotations/{split}.json",
    "{split}/labels.json",  # FiftyOne
    "{split}/annotations.json",
    "{split}/result.json",
    "{split}.json",
    "instances_{split}*.json",
    "annotations_{split}.json",
    "{split}_annotations.json",
)
WHOLE = (
    "annotations/instances_default.json",  # CVAT's tasks
    "_annotations.coco.json",
    "labels.json",  # FiftyOne
    "result.json",  # Label Studio
    "annotations.json",
    "*.json",
    "annotations/*.json",
)
"""Where the annotations of all images may lie in one file; of several files that a pattern fits, none is taken."""
BEGIN = 1 << 16
_IMAGES = re.compile(rb'"images"\s*:\s*\[')
_ANNOTATIONS = re.compile(rb'"annotations"\s*:\s*\[.*"image_id"', re.DOTALL)

Found = tuple[Path, list[Path]]
"""An annotation file, and the folders in which its images may lie, the surest first."""


def find_files(root: Path) -> dict[str, Found]:
    """The annotation file of each split below ``root``, or of ``all``; ``root`` may also be such a file."""
    if root.is_file():
        return {"all": (root, _image_folders(root.parent, root))}
    found = {name: place for name in SPLITS if (place := _of_split(root, name))}
    if found:
        return found
    for pattern in WHOLE:
        files = list(_coco_files(root, pattern))
        if len(files) > 1:
            names = ", ".join(str(file.relative_to(root)) for file in files)
            raise ArgusError(f"{root}: several annotation files, {names}; give one of them, as in coco:{files[0]}")
        if files:
            return {"all": (files[0], _image_folders(root, files[0]))}
    looked = ", ".join(layout.format(split="{train,val,test}") for layout in LAYOUTS)
    raise ArgusError(
        f"{root} holds no COCO data set; looked for {looked}, and for one file such as {', '.join(WHOLE[:5])}. "
        "Class folders are folder:PATH, masks and depth maps images:PATH"
    )


def coco_layout(path: Path) -> str:
    """By what a folder or file is known as COCO's; empty for any other."""
    if path.is_file():
        return f"lists of images in {path.name}" if path.suffix.lower() == ".json" and _begins_as_coco(path) else ""
    patterns = [layout.format(split=split) for layout in LAYOUTS for names in SPLITS.values() for split in names]
    for pattern in (*patterns, *WHOLE):
        if file := next(_coco_files(path, pattern), None):
            return str(file.relative_to(path))
    return ""


def _coco_files(root: Path, pattern: str) -> Iterator[Path]:
    files = sorted(root.glob(_any_case(pattern)))
    return (file for file in files if not is_hidden(file.name) and file.is_file() and _begins_as_coco(file))


def _begins_as_coco(file: Path) -> bool:
    """Whether a file is an object with a list of images, as far as its first and last part tell."""
    with file.open("rb") as stream:
        begin = stream.read(BEGIN)
        stream.seek(max(0, file.stat().st_size - BEGIN))
        parts = begin, stream.read(BEGIN)
    return begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (
        any(map(_IMAGES.search, parts)) or _ANNOTATIONS.search(begin) is not None
    )


def _of_split(root: Path, name: str) -> Found | None:
    for layout in LAYOUTS:
        patterns = [_any_case(layout.format(split=split)) for split in SPLITS[name]]
        files = list(dict.fromkeys(file for pattern in patterns for file in sorted(root.glob(pattern))))
        places = [(file, _image_folders(root, file)) for file in files]
        # Annotations of several years may lie together where the images of only one are there.
        places = [place for place in places if place[1][0].is_dir()] if len(places) > 1 else places
        if len(places) > 1:
            names = " and ".join(str(file.relative_to(root)) for file, _ in places)
            raise ArgusError(f"{root}: {names} both offer split {name!r}; keep one of them there")
        if places:
            return places[0]
        if files:
            raise ArgusError(f"{root}: none of {', '.join(map(str, files))} has its image folder beside it")
    return None


def _image_folders(root: Path, file: Path) -> list[Path]:
    """Where the images of a file may lie: in a folder called like it, beside it, or in a folder for images."""
    name = re.sub(r"^(instances_|image_info_|annotations_)|(-dev|_annotations)", "", file.stem, flags=re.IGNORECASE)
    called = [_child(root, name), _child(root / "images", name)]
    apart = file.parent.name.lower() == "annotations"
    beside = [folder / part for folder in (file.parent, root) for part in ("", "data", "images", "JPEGImages")]
    return list(dict.fromkeys([*called, *beside] if apart else [*beside, *called]))


def _child(folder: Path, name: str) -> Path:
    """The subfolder with a name, in another case if only that is there."""
    there = [child for child in folder.iterdir() if child.name.lower() == name.lower()] if folder.is_dir() else []
    alike = [child for child in there if child.is_dir()]
    return folder / name if (folder / name).is_dir() or len(alike) != 1 else alike[0]


def _any_case(pattern: str) -> str:
    """A pattern of ``glob`` that matches letters in any case."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in pattern)
