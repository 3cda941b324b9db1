"""What results in COCO's format call images and classes: the ids of an annotation file, where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from argus_core.common.files import read_json
from argus_core.errors import ArgusError, counted, several
from argus_core.image import composed
from argus_core.tasks.detect.result import DetectionResult

ImageId = int | str
REMEDY = "give a file in COCO's format, with images and categories"


@dataclass(frozen=True)
class CocoIds:
    """The ids in an annotation file: of images by their file names, of categories by their names."""

    file: Path
    images: Mapping[str, Sequence[tuple[str, ImageId]]]  # by the last part of the name
    categories: Mapping[str, int]

    @classmethod
    def read(cls, file: Path) -> CocoIds:
        """Raises ArgusError for a file that is not of COCO's format."""
        content = read_json(file, REMEDY)
        images: dict[str, list[tuple[str, ImageId]]] = {}
        try:
            for entry in content["images"]:
                name = "/" + composed(entry["file_name"]).replace("\\", "/").lstrip("/")
                images.setdefault(PurePosixPath(name).name, []).append((name, entry["id"]))
            categories = {str(entry["name"]): entry["id"] for entry in content["categories"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise ArgusError(f"{file} has no images and categories as COCO's format has them; {REMEDY}") from error
        return cls(file, images, categories)

    def image_id(self, source: str) -> ImageId | None:
        """The id of an image file or address; None if the file does not list it, or lists several it could be."""
        where = PurePosixPath(composed(Path(source).absolute().as_posix() if "://" not in source else source))
        named = self.images.get(where.name, ())
        exact = [key for name, key in named if f"/{where}".endswith(name)]
        found = exact or [key for _, key in named]
        return found[0] if len(found) == 1 else None

    def check(self, sources: Sequence[str]) -> None:
        """Raise ArgusError naming images that the file does not list."""
        missing = [source for source in sources if self.image_id(source) is None]
        if missing:
            raise ArgusError(
                f"{self.file} does not list {counted(len(missing), 'image')}, or lists several of that name: "
                f"{several(missing)}; give the annotations of these images, or leave out --annotations"
            )

    def of(self, classes: Sequence[str]) -> tuple[int | None, ...]:
        """The category id of each class; None for those that the file does not have."""
        return tuple(self.categories.get(name) for name in classes)


@dataclass(frozen=True)
class Numbering:
    """Ids for the entries of results; without ``ids``, and for heads without ``categories``, images go by names."""

    ids: CocoIds | None
    categories: Mapping[str, tuple[int | None, ...]]
    notes: tuple[str, ...] = ()

    @classmethod
    def find(
        cls,
        annotations: Path | None,
        sources: Sequence[str],
        classes: Mapping[str, Sequence[str]],
        moving: bool = False,
    ) -> Numbering:
        """Of a file that is named, or of the one that lies with the images and lists all of them, if one does.

        ``classes`` are those of each detection head, ``notes`` what the user should know. Raises ArgusError if a file
        that is named does not list the images, or has no class of any head.
        """
        if moving and annotations:
            raise ArgusError(f"{annotations} lists images, and frames of videos are none; leave out --annotations")
        ids = CocoIds.read(annotations) if annotations else None if moving or not classes else _beside(sources)
        if ids is None:
            return cls(None, {})
        if annotations:
            ids.check(sources)
        found = {head: ids.of(names) for head, names in classes.items()}
        kept = {head: numbers for head, numbers in found.items() if any(one is not None for one in numbers)}
        if annotations and classes and not kept:
            raise ArgusError(
                f"{annotations} has no class of {', '.join(classes)}: it has {several(list(ids.categories))}; "
                "give the annotations of the data the head was trained for, or leave out --annotations"
            )
        return cls(ids, kept, tuple(_notes(ids, kept, classes)))

    def entries(self, head: str, result: DetectionResult, name: str, source: str) -> list[dict[str, Any]]:
        """COCO's result entries for the image ``source``, called ``name`` where no file gives it an id."""
        categories, image = self.categories.get(head), self.ids.image_id(source) if self.ids else None
        if categories is None or image is None:
            return result.to_coco(name, file_name=source)
        entries = replace(result, categories=categories).to_coco(image, file_name=source)
        return [entry for entry in entries if entry["category_id"] is not None]


def _notes(
    ids: CocoIds, kept: Mapping[str, Sequence[int | None]], classes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for head, numbers in kept.items():
        yield f"{head}: ids of images and categories are those of {ids.file}"
        lost = [name for name, number in zip(classes[head], numbers, strict=True) if number is None]
        if lost:
            yield f"{head}: not in its COCO results: boxes of {several(lost)}, which {ids.file} does not have"


def _beside(sources: Sequence[str]) -> CocoIds | None:
    """The annotations that lie with images as data sets have them, if they list every one of them."""
    files = dict.fromkeys(file for source in sources[:1] for file in _places(source))
    for file in files:
        try:
            ids = CocoIds.read(file)
        except ArgusError:  # somebody's file that happens to be called so
            continue
        if all(ids.image_id(source) is not None for source in sources):
            return ids
    return None


def _places(source: str) -> Iterator[Path]:
    """Where annotations of an image lie: Roboflow's among the images, the official ones beside their folder."""
    if "://" in source:
        return
    below = Path(source).absolute()
    for folder in list(below.parents)[:4]:
        names = (f"annotations/instances_{below.name}.json", f"{below.name}.json", "_annotations.coco.json")
        yield from (file for name in names if (file := folder / name).is_file())
        below = folder
