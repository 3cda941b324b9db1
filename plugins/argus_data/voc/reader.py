"""Which image each annotation file of Pascal VOC belongs to, and which mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from argus_core.errors import ArgusError, Fault
from argus_core.image import IMAGES, Listing, composed, list_images, suffix_of
from argus_data.files.images import ImageFile, image_files
from argus_data.files.matching import by_stem, stem
from argus_data.voc.layout import MASKS, Place
from argus_data.voc.objects import VocFile, read_voc_file

BESIDE = (*MASKS, "segmentationobject", "segmentationclassnpy", "segmentationclassvisualization")
"""Folders, in lower case, whose images are no photographs where they lie among these."""
XML = ".xml"


@dataclass(frozen=True)
class Annotated:
    """An image with its annotation file and its mask, None where it has none."""

    image: ImageFile
    file: VocFile | None
    mask: Path | None


@dataclass(frozen=True)
class VocImages:
    """The images of a split in order, what is wrong with them, and what lies beside them."""

    images: Sequence[Annotated]
    faults: Sequence[Fault]
    listing: Listing


def read_all(root: Path, places: Mapping[str, Place]) -> dict[str, VocImages]:
    """The images of every split; raises ArgusError if one has no image, or all have neither XML files nor masks."""
    reader = _Reader(root)
    found = {name: reader.read(name, place) for name, place in places.items()}
    if not any(entry.file or entry.mask for images in found.values() for entry in images.images):
        raise ArgusError(f"{root} holds no Pascal VOC data: no XML file and no mask is called like an image there")
    return found


class _Reader:
    """Reads the files of splits below ``root``, each folder once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listing = cache(lambda folder: list_images(folder, {*IMAGES, XML}))
        self._images = cache(lambda folder: _Images(self._listing(folder)))
        self._annotations = cache(lambda folder: by_stem(_only(self._listing(folder), XML)))

    def read(self, split: str, place: Place) -> VocImages:
        """The images of a split; raises ArgusError if none can be used."""
        listing, masks = self._listing(place.images), by_stem(list_images(place.masks)) if place.masks else {}
        annotations = self._annotations(place.annotations)
        matching = _Matching(split, place, self.root, self._images(place.images))
        # Images that no annotation file claims by its name may still be claimed by what a file says.
        for name in place.listed or [*annotations, *(key for key in matching.images.stems if key not in annotations)]:
            matching.add(name, annotations.get(name))
        pairs = matching.pairs if place.listed else sorted(matching.pairs, key=lambda pair: pair[0].key)
        if not pairs:
            first = "".join(f"; {fault}" for fault in matching.faults[:2])
            raise ArgusError(f"split {split!r}: no image in {place.images} can be used{first}")
        return VocImages(
            [Annotated(image, file, masks.get(stem(image.key))) for image, file in pairs],
            [replace(fault, total=len(pairs) + len(matching.faults)) for fault in matching.faults],
            listing,
        )


class _Images:
    """The images of a folder, to be found by the name of an annotation file or by what it says."""

    def __init__(self, listing: Listing) -> None:
        self.stems: dict[str, list[ImageFile]] = {}
        self._names: dict[str, list[ImageFile]] = {}
        photographs = [path for path in listing.paths if suffix_of(path.name) != XML]
        for file in image_files(photographs, listing.folder):
            if file.key.partition("/")[0].lower() not in BESIDE:
                self.stems.setdefault(stem(file.key), []).append(file)
                name = composed(file.key).rpartition("/")[2]
                for short in {name, stem(name)}:
                    self._names.setdefault(short, []).append(file)

    def of(self, name: str, stated: str) -> list[ImageFile]:
        """The images of an annotation called ``name``, first the one with the ``stated`` name; empty if unknown."""
        if images := self.stems.get(name):
            return sorted(images, key=lambda file: file not in self.called(stated))
        return self.called(stated) or self.called(name)

    def called(self, name: str) -> list[ImageFile]:
        """The only image with this file name, with or without its suffix, in whatever folder."""
        file = composed(name).rpartition("/")[2]
        return next((found for short in (file, stem(file)) if len(found := self._names.get(short, [])) == 1), [])


class _Matching:
    """Pairs of images and annotation files of a split, and the faults found on the way."""

    def __init__(self, split: str, place: Place, root: Path, images: _Images) -> None:
        self.split, self.place, self.root, self.images = split, place, root, images
        self.pairs: list[tuple[ImageFile, VocFile | None]] = []
        self.faults: list[Fault] = []
        self._taken: dict[str, str] = {}

    def add(self, name: str, path: Path | None) -> None:
        """Find the image of an annotation file, or of a name without one."""
        try:
            file = read_voc_file(path, self._shown(path)) if path else None
        except ArgusError as error:
            line, _, what = str(error).removeprefix(str(path)).partition(": ")
            where = f"{self.split}, {self._shown(path) if path else name}{line}"
            self._drop("annotation files that cannot be read", where, what)
            self._taken.update((image.key, name) for image in self.images.of(name, ""))
            return
        images = self.images.of(name, file.image if file else "")
        if not images:
            if not self.place.shared:
                self._without_image(name, file)
        elif (first := images[0]).key not in self._taken:
            self.pairs.append((first, file))
            self._taken[first.key] = file.shown if file else name
            self._compare(first, images, file)
        elif file:
            what = f"{first.key} is annotated by {self._taken[first.key]} already"
            self._drop("images that are annotated twice", f"{self.split}, {file.shown}", what)

    def _without_image(self, name: str, file: VocFile | None) -> None:
        listed = self.place.list_file
        if file:
            kind, where = "annotations without an image", file.shown
        else:
            kind, where = "names in lists without an image", self._shown(listed) if listed else name
        stated = f", and none called {file.image!r}" if file and file.image else ""
        self._drop(kind, f"{self.split}, {where}", f"there is no image {name!r} in {self.place.images}{stated}")

    def _compare(self, first: ImageFile, images: Sequence[ImageFile], file: VocFile | None) -> None:
        """Note other images of the same name, and that a file states the name of another image."""
        for other in images[1:]:
            self._taken[other.key] = first.key
            what = f"it shares its annotation with {first.key}"
            self._drop("images that share an annotation", f"{self.split}, image {other.key}", what)
        if file and file.image and (others := self.images.called(file.image)) and others[0] not in images:
            what = f"its <filename> is {file.image!r}, another image; it is taken to be of {first.key}, as it is called"
            kind = "annotations that state the name of another image"
            self.faults.append(Fault(f"{self.split}, {file.shown}", what, kind=kind))

    def _drop(self, kind: str, where: str, what: str) -> None:
        self.faults.append(Fault(where, what, True, kind))

    def _shown(self, path: Path) -> str:
        return path.as_posix().removeprefix(f"{self.root.as_posix()}/")


def _only(listing: Listing, suffix: str) -> Listing:
    """The files of a listing with one suffix."""
    return Listing(listing.folder, [path for path in listing.paths if suffix_of(path.name) == suffix], {})
