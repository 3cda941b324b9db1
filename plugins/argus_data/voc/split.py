"""Pascal VOC as published, and data sets in its format as annotation tools write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, Fault, counted, unknown
from argus_data.files.images import data_root
from argus_data.layers.boxes import BoxSplit
from argus_data.layers.color_masks import ColorMaskLayer
from argus_data.layers.masks import MaskLayer
from argus_data.voc.boxes import OneBased, VocBoxes, counts_from_one
from argus_data.voc.classes import FILES, IGNORE, LabelMap, find_label_map
from argus_data.voc.layout import Place, find_places, find_root
from argus_data.voc.reader import Annotated, VocImages, read_all

if TYPE_CHECKING:
    from argus_core.tasks import Task
    from argus_core.tasks.detect import Boxes


ANNOTATION, MASK = "an annotation", "a mask"


class VocSplit(BoxSplit):
    """Images with boxes, masks or both; ``boxes`` is None where there are none to score, as in published test sets."""

    def __init__(
        self,
        name: str,
        found: VocImages,
        classes: Sequence[str],
        faults: Sequence[Fault],
        boxes: Sequence[Boxes] | None,
        masks: MaskLayer | None,
    ) -> None:
        files, annotated = [entry.image for entry in found.images], boxes is not None
        super().__init__(name, files, classes, [found.listing], [*found.faults, *faults], annotated=annotated)
        self._sizes = [entry.file.size if entry.file else None for entry in found.images]
        self._boxes, self._masks = boxes, masks
        self.beside, self.remark = "", ""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Detection, segmentation, or both."""
        return {**super().tasks, **({"segment": self._masks.task} if self._masks else {})}

    def size(self, index: int) -> tuple[int, int] | None:
        """Height and width in pixels from the annotation file; None if they are not there."""
        return self._sizes[index]

    def boxes(self, index: int) -> Boxes:
        """The boxes of one image."""
        if self._boxes is None:
            raise unknown(f"task of split {self.name!r}", "detect", self.tasks)
        return self._boxes[index]

    def truth(self, sample: int, task: str) -> Any:
        """The boxes or the mask of one image."""
        return self._masks.truth(sample) if task == "segment" and self._masks else super().truth(sample, task)

    def annotation_digest(self) -> str:
        """sha256 (hex) over classes, keys and boxes, like that of a COCO file, and over masks where there are any."""
        boxed = super().annotation_digest()
        return json_sha256([boxed, self._boxes is not None, self._masks.digest()]) if self._masks else boxed

    def faults(self) -> list[Fault]:
        """What the adapter found, and what is wrong with the masks."""
        return [*super().faults(), *(self._masks.faults() if self._masks else [])]

    def left_out(self) -> str:
        """What the folders hold besides, and masks that are not offered."""
        return "; ".join(filter(None, [super().left_out(), self.beside]))

    def remarks(self) -> list[str]:
        """How the pixels of boxes were counted, where nothing tells."""
        return [self.remark] if self.remark and self._boxes is not None else []


def open_voc(
    path: str | Path,
    *,
    year: str | int = "",
    sets: str = "",
    train: str = "train",
    val: str = "val",
    test: str = "test",
    one_based: OneBased = "auto",
    difficult: Literal["ignored", "object"] = "ignored",
    missing: Literal["dropped", "empty"] = "dropped",
    classes: str = "",
    limit: int = 0,
) -> dict[str, Split]:
    """The splits of VOCdevkit or VOC2012, or of a folder in which XML files lie beside or among the images.

    ``year`` picks one of several VOC folders, ``sets`` a folder of ImageSets (Segmentation: the images with masks),
    and ``train``, ``val`` and ``test`` the lists there. Other layouts are SPLIT/images with SPLIT/annotations, and
    images/SPLIT with annotations/SPLIT; without splits there is one, ``all``. ``one_based`` says whether corners are
    numbers of pixels from 1 on, as in VOC; ``auto`` goes by the files. ``difficult`` objects are ignored, or as any
    other. Images without an XML file are dropped, or empty. ``classes`` is a file with a name per line; otherwise
    labelmap.txt or classes.txt counts, then VOC's 20 classes in VOC's layout, then all names in order. ``limit`` keeps
    the first images of every split; 0 keeps all. Raises ArgusError if nothing can be opened.
    """
    root = find_root(data_root(path, limit), str(year))
    places = find_places(root, sets, {"train": train, "val": val, "test": test})
    found = read_all(root, places)
    files = [entry.file for images in found.values() for entry in images.images if entry.file]
    used = sorted({one.name for file in files for one in file.objects})
    labels = find_label_map(root, classes, used, official=any(place.list_file for place in places.values()))
    from_one, remark = counts_from_one(files, one_based)
    reading = _Reading(labels, tuple(used), from_one, remark, difficult == "ignored", missing == "empty", limit)
    shared = _overlaps(places)
    return {name: reading.split(name, places[name], images, shared.get(name, [])) for name, images in found.items()}


@dataclass(frozen=True)
class _Reading:
    """How files are read: the classes that a list names and those that occur, and what the options say."""

    labels: LabelMap | None
    used: tuple[str, ...]
    from_one: bool
    remark: str
    ignored: bool
    empty: bool
    limit: int

    def split(self, name: str, place: Place, found: VocImages, shared: Sequence[Fault]) -> VocSplit:
        """A split of the images that have what it is about, with whatever all of them have besides."""
        kind = self._kind(place, found)
        kept = [entry for entry in found.images if self._has(entry, kind)][: self.limit or None]
        boxed = kind == ANNOTATION or (bool(kept) and all(entry.file for entry in kept))
        boxes = VocBoxes(name, self._classes(), self.from_one, self.ignored)
        truths = [boxes.of(entry) for entry in kept] if boxed else None
        masks = self._masks(kept)
        what, without = f"it has no {kind.partition(' ')[2]}", f"images without {kind}"
        lost = [
            Fault(f"{name}, image {entry.image.key}", what, True, without, total=len(found.images))
            for entry in found.images
            if not self._has(entry, kind)
        ]
        faults = [*shared, *lost, *boxes.faults()]
        split = VocSplit(name, replace(found, images=kept), self._classes(), faults, truths, masks)
        split.beside, split.remark = "" if masks else self._unused(place, found), self.remark
        return split

    def _kind(self, place: Place, found: VocImages) -> str:
        """What every image must have: masks in lists of segmentation, XML in others; nothing in published test sets."""
        boxed, masked = any(entry.file for entry in found.images), any(entry.mask for entry in found.images)
        if masked and not boxed and not self.labels:
            raise ArgusError(f"{place.masks}: nothing names the classes of the masks; looked for {', '.join(FILES)}")
        if place.list_file and place.of_masks and boxed and not masked:
            raise ArgusError(
                f"{place.list_file}: no image of this list has a mask in SegmentationClass; sets=Main has boxes"
            )
        if masked and self.labels and (place.of_masks or not boxed):
            return MASK
        return ANNOTATION if boxed else ""

    def _has(self, entry: Annotated, kind: str) -> bool:
        return entry.mask is not None if kind == MASK else not kind or self.empty or entry.file is not None

    def _classes(self) -> tuple[str, ...]:
        return self.labels.objects(self.used) if self.labels else self.used

    def _masks(self, entries: Sequence[Annotated]) -> MaskLayer | None:
        paths = [entry.mask for entry in entries if entry.mask]
        if not self.labels or len(paths) < len(entries):
            return None
        return ColorMaskLayer(paths, self.labels.of_pixels(), self.labels.painted(), IGNORE)

    def _unused(self, place: Place, found: VocImages) -> str:
        """Why masks that are there are not offered."""
        count = sum(entry.mask is not None for entry in found.images)
        if not count:
            return ""
        why = "sets=Segmentation takes those that have one" if self.labels else f"no {FILES[0]} names their classes"
        return f"{counted(count, 'mask')} in {place.masks}, for {len(found.images)} images: {why}"


def _overlaps(places: Mapping[str, Place]) -> dict[str, list[Fault]]:
    """Lists that share images, by the later split."""
    faults: dict[str, list[Fault]] = {}
    for (_, one), (second, other) in combinations(places.items(), 2):
        if one.list_file and other.list_file and (count := len({*one.listed} & {*other.listed})):
            what = f"it shares {counted(count, 'image')} with {one.list_file.name}; give other lists, as in val=test"
            faults.setdefault(second, []).append(Fault(f"{second}, {other.list_file.name}", what, wrong=True))
    return faults
