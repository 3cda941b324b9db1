"""The images of a YOLO data set, in folders or lists, and the label files that belong to them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path, PurePosixPath

from argus_core.errors import ArgusError, Fault
from argus_core.image import IMAGES, Listing, composed, suffix_of
from argus_data.files.images import SPLITS, ImageFile, find_files, image_files, split_folders
from argus_data.files.local_names import SAMPLE, local_names, spelt_on_disk
from argus_data.files.texts import read_text
from argus_data.yolo.config import Config, class_lists
from argus_data.yolo.labels import has_label_lines

IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})
LABEL_FOLDERS = ("labels", "label", "Labels", "Label")
NO_LABELS = re.compile(r"(classes|train|val|valid|test|notes|licen[cs]e|_darknet|readme.*)\.txt", re.IGNORECASE)
"""Text files that lie among labels and are none."""


@dataclass(frozen=True)
class Source:
    """The images in a folder or list ``place``, with keys below ``folder``; ``listing`` is the search in a folder."""

    place: Path
    folder: Path
    files: Sequence[ImageFile]
    listing: Listing | None = None
    faults: list[Fault] = field(default_factory=list)


def find_sources(config: Config) -> dict[str, list[Source]]:
    """The sources of every split: as the description says, or else by the names of folders.

    A test split that is named and not there is a remark, as Roboflow always names one.
    """
    if not config.splits:
        places = _by_layout(config.folder)
        return {split: [_source(config, place)] for split, place in places.items()}
    sources = {}
    for split, entries in config.splits.items():
        found = [_locate(config, entry) for entry in entries]
        lost = [entry for entry, place in zip(entries, found, strict=True) if place is None]
        if lost and (split != "test" or len(config.splits) == 1 or len(lost) < len(entries)):
            tried = ", ".join(dict.fromkeys(str(root / lost[0]) for root in config.roots))
            raise ArgusError(
                f"{config.file}: {split}: there is no {lost[0]}; looked for {tried}; correct path: or {split}:"
            )
        if lost:
            config.remarks.append(f"{config.file.name} names a test split that is not there, {lost[0]}")
        else:
            sources[split] = [_source(config, place) for place in found if place]
    return sources


def combined(sources: Sequence[Source]) -> list[ImageFile]:
    """The images of all sources, with keys below the folder that these share."""
    if len(sources) == 1:
        return list(sources[0].files)
    folders = [source.folder.absolute() for source in sources]
    shared = os.path.commonpath(folders)
    files: dict[Path, ImageFile] = {}
    for source, folder in zip(sources, folders, strict=True):
        prefix = PurePosixPath(folder.relative_to(shared).as_posix())
        for file in source.files:
            files.setdefault(file.path, ImageFile(str(prefix / file.key), file.path))
    return list(files.values())


class LabelFinder:
    """Finds the label files of images: in mirrored folders, in a folder among them, or beside them.

    ``given`` is a folder that holds them instead, at the images' own paths.
    """

    def __init__(self, given: Path | None = None) -> None:
        self._given = given
        self._folders: dict[Path, list[Path]] = {}
        self._stems: dict[Path, dict[str, Path]] = {}
        self._used: set[Path] = set()

    def find(self, file: ImageFile) -> list[Path]:
        """The label files that an image could have, the first of them being taken."""
        parent = file.path.parent
        if self._given is not None:
            below, split = PurePosixPath(file.key).parent, parent.name
            folders = list(dict.fromkeys((self._given / below, self._given / split, self._given)))
        else:
            folders = self._folders.get(parent) or self._folders.setdefault(parent, _label_folders(parent))
        stem = composed(file.path.stem)
        found = [label for folder in folders if (label := self._labels_in(folder).get(stem))]
        self._used.update(found[:1])
        return found

    def looked_in(self) -> list[Path]:
        """The folders that were searched."""
        return sorted(self._stems)

    def orphans(self) -> list[Path]:
        """Label files in the folders of others that belong to no image."""
        folders = {label.parent for label in self._used}
        labels = {label for folder in folders for label in self._stems[folder].values()}
        return sorted(label for label in labels - self._used if not NO_LABELS.fullmatch(label.name))

    def without_known(self, listing: Listing, config: Config) -> Listing:
        """A search for images without the label files and lists of names that lie among them."""
        known = {config.file, *class_lists(config.folder), *self._used}
        names = Counter(suffix_of(path.name) for path in known if path.is_relative_to(listing.folder))
        rest = {reason: others - names for reason, others in listing.left_out.items()}
        return Listing(listing.folder, listing.paths, {reason: others for reason, others in rest.items() if others})

    def _labels_in(self, folder: Path) -> dict[str, Path]:
        if folder not in self._stems:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            labels = [file for file in files if file.name.lower().endswith(".txt") and not file.name.startswith(".")]
            self._stems[folder] = {composed(label.stem): label for label in labels}
        return self._stems[folder]


def _label_folders(folder: Path) -> list[Path]:
    """Where the labels of images in ``folder`` may lie, the surest place first."""
    parts = folder.parts
    places = []
    last = next((n for n in reversed(range(len(parts))) if parts[n].lower() in IMAGE_FOLDERS), None)
    if last is not None:
        places += [type(folder)(*parts[:last], word, *parts[last + 1 :]) for word in LABEL_FOLDERS]
    places += [folder / word for word in LABEL_FOLDERS]
    found: list[Path] = []
    for place in places:  # a file system that ignores case shows one folder under two names
        if place.is_dir() and not any(place.samefile(other) for other in found):
            found.append(place)
    return [*found, folder]


def _by_layout(root: Path) -> dict[str, Path]:
    """Folders or lists of images by split; all images as one split where nothing divides them."""
    images = _image_folder(root)
    if images and (splits := split_folders(images)):
        return splits
    if splits := split_folders(root):
        return {name: _image_folder(folder) or folder for name, folder in splits.items()}
    lists = {name: root / f"{word}.txt" for name, words in SPLITS.items() for word in words}
    return {name: file for name, file in lists.items() if file.is_file()} or {"all": images or root}


def _image_folder(root: Path) -> Path | None:
    folders = (child for child in sorted(root.iterdir()) if child.is_dir())
    return next((folder for folder in folders if folder.name.lower() in IMAGE_FOLDERS), None)


def has_labels(root: Path) -> bool:
    """Whether a folder has one of labels, or label files beside images, in it or in the folder of a split."""
    folders = [root, *split_folders(root).values()]
    if any((folder / word).is_dir() for folder in folders for word in LABEL_FOLDERS):
        return True
    files = (file for folder in folders for file in folder.glob("*.txt") if not NO_LABELS.fullmatch(file.name))
    return any(any(file.with_suffix(suffix).is_file() for suffix in IMAGES) for file in islice(files, SAMPLE))


def unnamed_labels(root: Path) -> str:
    """The first label file, of a folder whose classes nothing may name."""
    folders = [root, *split_folders(root).values()]
    folders += [folder / word for folder in folders for word in LABEL_FOLDERS]
    folders += [place for folder in folders for place in split_folders(folder).values()]
    files = (file for folder in folders for file in islice(folder.glob("*.txt"), SAMPLE))
    return next((file.relative_to(root).as_posix() for file in files if file.is_file() and has_label_lines(file)), "")


def _locate(config: Config, entry: str) -> Path | None:
    """The file or folder that an entry means, also if it names one on another machine, or in Roboflow's ``..``."""
    plain = re.sub(r"^[A-Za-z]:", "", entry.strip().replace("\\", "/"))
    tails = [PurePosixPath(*PurePosixPath(plain).parts[start:]) for start in range(1, len(PurePosixPath(plain).parts))]
    # A tail that is just "images" could be those of another split.
    sure = [tail for tail in tails if len(tail.parts) > 1 or tail.name.lower() not in IMAGE_FOLDERS]
    places = [root / name for name in dict.fromkeys((entry.strip(), plain)) for root in config.roots]
    places += [config.folder / tail for tail in sure]
    return next((type(place)(os.path.normpath(place)) for place in places if place.exists()), None)


def _source(config: Config, place: Path) -> Source:
    if place.is_dir():
        listing = find_files(place)
        return Source(place, place, image_files(listing.paths, place), listing)
    if place.suffix.lower() == ".txt":
        return _from_list(config, place)
    raise ArgusError(f"{config.file}: {place} is neither a folder of images nor a .txt file that lists them")


def _from_list(config: Config, file: Path) -> Source:
    """The images that a file lists, one a line, relative to it or to the data set, or on another machine."""
    listed = [line.strip().removeprefix("./") for line in read_text(file).splitlines() if line.strip()]
    names = list(dict.fromkeys(listed))
    twice = f"{len(listed) - len(names)} of its lines repeat another one"
    faults = [Fault(str(file), twice, dropped=True)] if len(names) < len(listed) else []
    roots = list(dict.fromkeys((file.parent, *config.roots)))
    for folder, local in _guesses(names, roots):
        if any(spelt_on_disk(folder, name).is_file() for name in local[:SAMPLE]):
            return Source(file, folder, [ImageFile(name, spelt_on_disk(folder, name)) for name in local], None, faults)
    looked = " and ".join(map(str, roots))
    first = names[0] if names else "nothing"
    raise ArgusError(f"{file}: none of the first images that it lists is there, such as {first}; looked below {looked}")


def _guesses(names: Sequence[str], roots: Sequence[Path]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders, and the names in them: as they are, then as paths of another machine."""
    foreign = [f"/{name.lstrip('/')}" for name in names]
    for given, root in product((names, foreign), roots):
        if given:
            yield local_names(given, root)
