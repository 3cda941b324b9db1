"""Ids of images and classes for results in COCO's format, from the annotation file where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from argus_core.common.files import read_json
from argus_core.errors import ArgusError, counted, several
from argus_core.image import composed
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

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
        """Read an annotation file; raises ArgusError for one that is not in COCO's format."""
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
        """The id of an image file or address; None if no entry matches it, or several do."""
        path = PurePosixPath(composed(Path(source).absolute().as_posix() if "://" not in source else source))
        entries = self.images.get(path.name, ())
        exact = [name for name, _ in entries if f"/{path}".endswith(name)]
        longest = max(exact, key=len, default="")  # a/b.jpg is meant rather than b.jpg
        ids = [key for name, key in entries if name == longest or not exact]
        return ids[0] if len(ids) == 1 else None

    def check(self, sources: Sequence[str]) -> None:
        """Raise ArgusError naming images that the file does not list."""
        missing = [source for source in sources if self.image_id(source) is None]
        if missing:
            raise ArgusError(
                f"{self.file} does not list {counted(len(missing), 'image')}, or lists several of that name: "
                f"{several(missing)}; give the annotations of these images, or leave out --annotations"
            )

    def category_ids(self, classes: Sequence[str]) -> tuple[int | None, ...]:
        """The category id of each class; None for classes that the file does not have."""
        return tuple(self.categories.get(name) for name in classes)


@dataclass(frozen=True)
class Numbering:
    """Ids for the entries of results; without ``ids``, or a head's ``categories``, images go by their names."""

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
        """The ids in ``annotations``, or else in a file beside the images that lists all of them.

        ``classes`` are those of each head, ``notes`` what the user should know; ``moving`` sources are
        videos. Raises ArgusError if ``annotations`` does not list the images, or has no class of any head.
        """
        if moving and annotations:
            raise ArgusError(f"{annotations} lists images, not frames of videos; leave out --annotations")
        ids = CocoIds.read(annotations) if annotations else None if moving or not classes else _beside(sources)
        if ids is None:
            return cls(None, {})
        if annotations:
            ids.check(sources)
        categories = {head: ids.category_ids(names) for head, names in classes.items()}
        categories = {head: keys for head, keys in categories.items() if any(key is not None for key in keys)}
        if annotations and classes and not categories:
            raise ArgusError(
                f"{annotations} has no class of {', '.join(classes)}: it has {several(list(ids.categories))}; "
                "give the annotations of the data the head was trained for, or leave out --annotations"
            )
        return cls(ids, categories, tuple(_notes(ids, categories, classes)))

    def entries(self, head: str, result: DetectionResult, name: str, source: str) -> list[dict[str, Any]]:
        """COCO's result entries for the image ``source``, called ``name`` where no file gives it an id."""
        categories, image = self.categories.get(head), self.ids.image_id(source) if self.ids else None
        if categories is None or image is None:
            return result.to_coco(name, file_name=source)
        entries = replace(result, categories=categories).to_coco(image, file_name=source)
        return [entry for entry in entries if entry["category_id"] is not None]

    def masks(self, head: str, result: SegmentResult, name: str, source: str) -> list[dict[str, Any]]:
        """The same of a mask per class; the categories of classes without ids count from 1."""
        categories, image = self.categories.get(head), self.ids.image_id(source) if self.ids else None
        if categories is None or image is None:
            categories, image = tuple(range(1, len(result.classes) + 1)), name
        return [
            {
                **{"image_id": image, "file_name": source},
                **{"category_id": category, "category_name": mask["class_name"]},
                **{"segmentation": mask["segmentation"], "score": result.mean_confidence(mask["class_id"])},
            }
            for mask in result.to_dict()["masks"]
            if (category := categories[mask["class_id"]]) is not None
        ]


def _notes(
    ids: CocoIds, categories: Mapping[str, Sequence[int | None]], classes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for head, keys in categories.items():
        yield f"{head}: ids of images and categories are those of {ids.file}"
        missing = [name for name, key in zip(classes[head], keys, strict=True) if key is None]
        if missing:
            yield f"{head}: not in its COCO results: {several(missing)}, which {ids.file} does not have"


def _beside(sources: Sequence[str]) -> CocoIds | None:
    """The ids in an annotation file near the images, in one of the usual places, if it lists all of them."""
    for file in dict.fromkeys(file for source in sources[:1] for file in _annotation_files(source)):
        try:
            ids = CocoIds.read(file)
        except ArgusError:  # another file that happens to have this name
            continue
        if all(ids.image_id(source) is not None for source in sources):
            return ids
    return None


def _annotation_files(source: str) -> Iterator[Path]:
    """Files that may annotate an image: Roboflow's are among the images, the official ones beside their folder."""
    if "://" in source:
        return
    path = Path(source).absolute()
    for child, folder in zip([path, *path.parents], list(path.parents)[:4], strict=False):
        names = (f"annotations/instances_{child.name}.json", f"{child.name}.json", "_annotations.coco.json")
        yield from (file for name in names if (file := folder / name).is_file())
