"""Images and the annotation files that bear their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus_core.errors import ArgusError, Fault, several
from argus_core.image import Listing, composed, suffix_of
from argus_data.images import ImageFile, ImageSplit, Layer, image_files


@dataclass(frozen=True)
class Matched:
    """Images that have every kind of annotation, and the files of each kind in the same order."""

    files: list[ImageFile]
    paths: Mapping[str, list[Path]]
    faults: list[Fault]


class MatchedSplit(ImageSplit):
    """A split that also tells what was left out when images and annotations were matched."""

    def __init__(self, name: str, matched: Matched, layers: Sequence[Layer], listings: Sequence[Listing] = ()) -> None:
        super().__init__(name, matched.files, layers, listings)
        self._unmatched = matched.faults

    def faults(self) -> list[Fault]:
        """Images without annotation, annotations without image, and what is wrong with the layers."""
        return [*self._unmatched, *super().faults()]


def match(split: str, files: Sequence[ImageFile], kinds: Mapping[str, Mapping[str, Path]], limit: int = 0) -> Matched:
    """The first ``limit`` images (0: all) that every one of ``kinds`` has an annotation for.

    ``kinds`` maps a word such as ``mask`` to files by stem. Images that lack one are faults and left out,
    annotations without an image are faults. Raises ArgusError if no image is left.
    """
    faults: list[Fault] = []
    kept: list[ImageFile] = []
    for file in files:
        missing = [kind for kind, found in kinds.items() if stem(file.key) not in found]
        faults += [
            Fault(f"{split}, image {file.key}", f"it has no {kind}", dropped=True, kind=f"images without a {kind}")
            for kind in missing
        ]
        kept += [] if missing else [file]
        if limit and len(kept) == limit:
            break
    faults += _shared(split, kept, " and a ".join(kinds))
    stems = {stem(file.key) for file in files}
    for kind, found in kinds.items():
        faults += [
            Fault(str(path), f"a {kind} without an image", kind=f"a {kind} without an image")
            for key, path in found.items()
            if key not in stems
        ]
    if not kept:
        raise ArgusError(
            f"split {split!r}: none of {len(files)} images has a {' and a '.join(kinds)} of its name; "
            + "; ".join(map(str, faults[:2]))
        )
    return Matched(kept, {kind: [found[stem(file.key)] for file in kept] for kind, found in kinds.items()}, faults)


def _shared(split: str, files: Sequence[ImageFile], kinds: str) -> list[Fault]:
    """Images of one name but for the suffix, which are annotated by the same files."""
    first: dict[str, str] = {}
    kind = f"images that share a {kinds}"
    return [
        Fault(f"{split}, image {file.key}", f"it shares its {kinds} with {other}", kind=kind, total=len(files))
        for file in files
        if kinds and (other := first.setdefault(stem(file.key), file.key)) != file.key
    ]


def by_stem(listing: Listing) -> dict[str, Path]:
    """The files of a folder by path without suffix; raises ArgusError, naming them, if several have one stem."""
    found: dict[str, Path] = {}
    doubles = []
    for file in image_files(listing.paths, listing.folder):
        first = found.setdefault(stem(file.key), file.path)
        if first != file.path:
            doubles.append(f"{first.name} and {file.key}")
    if doubles:
        raise ArgusError(f"{listing.folder}: both claim to annotate one image, keep one of them: {several(doubles)}")
    return found


def stem(key: str) -> str:
    """A key without its suffix, as it is compared: with composed letters."""
    return composed(key[: len(key) - len(suffix_of(key))])


def check_limit(limit: int) -> None:
    """Raise ArgusError for a limit that is none."""
    if limit < 0:
        raise ArgusError(f"option limit={limit} must be 0 (all images) or the number of images to keep")
