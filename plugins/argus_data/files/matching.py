"""Images and the annotation files that bear their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus_core.errors import ArgusError, Fault, several
from argus_core.image import Listing, composed, suffix_of
from argus_data.files.images import ImageFile, image_files


@dataclass(frozen=True)
class Matches:
    """Images that have every kind of annotation, the files of each kind in the same order, and what was left out."""

    files: list[ImageFile]
    paths: Mapping[str, list[Path]]
    faults: list[Fault]


def match(split: str, files: Sequence[ImageFile], kinds: Mapping[str, Mapping[str, Path]], limit: int = 0) -> Matches:
    """The first ``limit`` images (0: all) that have an annotation of every one of ``kinds``.

    ``kinds`` maps a word such as ``mask`` to files by stem. Images without an annotation are left out; these and
    annotations without an image are faults. Raises ArgusError if no image is left.
    """
    faults: list[Fault] = []
    kept: list[ImageFile] = []
    for file in files:
        missing = [kind for kind, paths in kinds.items() if stem(file.key) not in paths]
        faults += [
            Fault(f"{split}, image {file.key}", f"it has no {kind}", dropped=True, kind=f"images without a {kind}")
            for kind in missing
        ]
        kept += [] if missing else [file]
        if limit and len(kept) == limit:
            break
    faults += _shared(split, kept, " and a ".join(kinds))
    stems = {stem(file.key) for file in files}
    faults += [
        Fault(str(path), f"a {kind} without an image", kind=f"a {kind} without an image")
        for kind, paths in kinds.items()
        for key, path in paths.items()
        if key not in stems
    ]
    if not kept:
        raise ArgusError(
            f"split {split!r}: none of {len(files)} images has a {' and a '.join(kinds)} of its name; "
            + "; ".join(map(str, faults[:2]))
        )
    return Matches(kept, {kind: [paths[stem(file.key)] for file in kept] for kind, paths in kinds.items()}, faults)


def _shared(split: str, files: Sequence[ImageFile], kinds: str) -> list[Fault]:
    """Images whose names differ only in the suffix, so that one file annotates several of them."""
    first: dict[str, str] = {}
    kind = f"images that share a {kinds}"
    return [
        Fault(f"{split}, image {file.key}", f"it shares its {kinds} with {other}", kind=kind, total=len(files))
        for file in files
        if kinds and (other := first.setdefault(stem(file.key), file.key)) != file.key
    ]


def by_stem(listing: Listing) -> dict[str, Path]:
    """The files of a folder by path without suffix; raises ArgusError, naming them, if several have one stem."""
    paths: dict[str, Path] = {}
    doubles = []
    for file in image_files(listing.paths, listing.folder):
        first = paths.setdefault(stem(file.key), file.path)
        if first != file.path:
            doubles.append(f"{first.name} and {file.key}")
    if doubles:
        raise ArgusError(f"{listing.folder}: both claim to annotate one image, keep one of them: {several(doubles)}")
    return paths


def stem(key: str) -> str:
    """A key without its suffix, with composed letters so that it can be compared."""
    return composed(key[: len(key) - len(suffix_of(key))])
