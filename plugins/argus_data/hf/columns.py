"""Which columns of a table hold images, labels, objects, masks and depth maps, by their types and usual names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from argus_core.errors import ArgusError, unknown

Features = Mapping[str, Any]
"""The types of the columns by name, as the library ``datasets`` gives them."""

IMAGES = ("image", "img", "pixel_values", "picture", "photo", "jpg", "png", "webp")
LABELS = ("label", "labels", "class", "category", "target", "fine_label", "cls")
OBJECTS = ("objects", "annotations", "bboxes", "boxes", "detections")
MASKS = frozenset(
    {
        *("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentation_mask"),
        *("semantic_mask", "semantic_segmentation", "label_mask", "seg", "seg_mask"),
    }
)
DEPTHS = frozenset({"depth", "depth_map", "depth_image", "depths"})
BOX = ("bbox", "bboxes", "boxes", "box", "bounding_box", "bounding_boxes")
CLASS = ("category", "categories", "category_id", "label", "labels", "class", "classes", "class_label", "name")
CROWD = ("iscrowd", "is_crowd", "crowd")
DIFFICULT = ("difficult", "is_difficult")
TEXT, NUMBER = ("string", "large_string"), ("int", "uint", "bool")


@dataclass(frozen=True)
class ObjectFields:
    """How objects are laid out: the column, empty where boxes and classes are columns themselves, and its fields."""

    column: str
    box: str
    category: str
    feature: Any
    """The type of ``category``."""
    area: str = ""
    crowd: str = ""
    difficult: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns that are read; empty where the table has none of the kind."""

    image: str
    label: str = ""
    objects: ObjectFields | None = None
    mask: str = ""
    depth: str = ""

    @property
    def pictures(self) -> dict[str, str]:
        """The columns of annotations that are images, by what messages call one."""
        return {noun: name for noun, name in (("mask", self.mask), ("depth map", self.depth)) if name}

    def within(self, split: str, features: Features) -> Columns:
        """Those that another split of the same data set has; raises ArgusError if it has no images, or other types."""
        if not (self.image in features and _is_image(features[self.image])):
            raise ArgusError(f"split {split!r} has no images in column {self.image!r}; it has {describe(features)}")
        objects = self.objects
        if objects and objects.column in ("", *features):
            objects = _objects(features, objects.column)
        else:
            objects = None
        kept = {role: name for role, name in (("label", self.label), ("mask", self.mask), ("depth", self.depth))}
        kept = {role: name if name in features else "" for role, name in kept.items()}
        for role, fits in (("label", _is_label), ("mask", _is_image), ("depth", _is_image)):
            if kept[role] and not fits(features[kept[role]]):
                kind = _kind(features[kept[role]])
                raise ArgusError(f"column {kept[role]!r} of split {split!r} is {kind}, unlike that of another split")
        return Columns(self.image, objects=objects, **kept)


def find_columns(features: Features, asked: Mapping[str, str]) -> Columns:
    """The columns of each kind; ``asked`` names those that the user chose, by option.

    Raises ArgusError for a choice that does not fit, and where no column, or more than one, could be meant.
    """
    for option, name in asked.items():
        if name and name not in features:
            raise ArgusError(f"{option}={name}: {unknown('column', name, features)}")
    pictures = [name for name, feature in features.items() if _is_image(feature)]
    mask = _asked("mask", asked, features, _is_image, "an image")
    depth = _asked("depth", asked, features, _is_image, "an image")
    image = _asked("image", asked, features, _is_image, "an image") or _image(pictures, {mask, depth}, features)
    others = [name for name in pictures if name not in (image, mask, depth)]
    depth = depth or _only([name for name in others if name.lower() in DEPTHS])
    mask = mask or _only([name for name in others if name.lower() in MASKS])
    objects = _objects(features, asked.get("objects", ""))
    taken = {image, mask, depth, *([objects.column] if objects else [])}
    label = _asked("label", asked, features, _is_label, "a class, a text or a number") or _label(features, taken)
    columns = Columns(image, label, objects, mask, depth)
    if columns == Columns(image):
        raise ArgusError(
            "no column is known to say what an image shows; label=, objects=, mask= or depth= names one of "
            f"{describe({name: feature for name, feature in features.items() if name != image}) or 'none'}"
        )
    return columns


def describe(features: Features) -> str:
    """The columns and their types, in words."""
    return ", ".join(f"{name} ({_kind(feature)})" for name, feature in features.items())


def class_feature(feature: Any) -> Any:
    """The type of one class in a column of lists of them."""
    return feature.feature if _is_list(feature) else feature


def class_names(feature: Any) -> tuple[str, ...]:
    """The names of a ``ClassLabel``; none for another type."""
    return tuple(feature.names) if _kind(feature) == "ClassLabel" else ()


def _asked(option: str, asked: Mapping[str, str], features: Features, fits: Callable[[Any], bool], wanted: str) -> str:
    name = asked.get(option, "")
    if name and not fits(features[name]):
        raise ArgusError(f"{option}={name}: that column is {_kind(features[name])}, not {wanted}")
    return name


def _image(pictures: Collection[str], others: Collection[str], features: Features) -> str:
    names = [name for name in pictures if name not in others]
    usual = [name for name in names if name.lower() not in MASKS | DEPTHS]
    named = [name for name in IMAGES if name in usual]
    found = _only(usual) or (named[0] if named else _only(names))
    if found:
        return found
    if names:
        raise ArgusError(f"columns {', '.join(names)} hold images; image=COLUMN says which of them are the photographs")
    paths = " (paths as text are not read; a table of paths and labels is csv:PATH)"
    hint = paths if any(_kind(feature) in TEXT for feature in features.values()) else ""
    raise ArgusError(f"no column holds images{hint}; there are {describe(features) or 'none'}")


def _label(features: Features, taken: Collection[str]) -> str:
    free = {name: feature for name, feature in features.items() if name not in taken}
    classes = [name for name, feature in free.items() if _kind(feature) == "ClassLabel"]
    usual = [name for name in LABELS if name in free and _is_label(free[name])]
    return _only(classes) or next((name for name in usual if name in classes or not classes), "")


def _objects(features: Features, asked: str) -> ObjectFields | None:
    if asked:
        found = _fields(asked, features[asked])
        if not found:
            raise ArgusError(
                f"objects={asked}: that column is {_kind(features[asked])}; objects are lists of a box "
                f"({', '.join(BOX[:3])}) and a class ({', '.join(CLASS[:4])})"
            )
        return found
    nested = {name: found for name, feature in features.items() if (found := _fields(name, feature))}
    if nested:
        return nested[next((name for name in OBJECTS if name in nested), next(iter(nested)))]
    lists = {name: feature for name, feature in features.items() if _is_list(feature)}
    return _among("", lists)


def _fields(column: str, feature: Any) -> ObjectFields | None:
    """The fields of a list of objects, or of an object of lists."""
    fields = feature if isinstance(feature, Mapping) else feature.feature if _is_list(feature) else None
    return _among(column, fields) if isinstance(fields, Mapping) else None


def _among(column: str, fields: Features) -> ObjectFields | None:
    box, category, area, crowd, difficult = (
        next((name for name in names if name in fields), "")
        for names in (BOX, CLASS, ("area", "areas"), CROWD, DIFFICULT)
    )
    if not (box and category):
        return None
    return ObjectFields(column, box, category, class_feature(fields[category]), area, crowd, difficult)


def _only(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _kind(feature: Any) -> str:
    """The type in words: of a value what it holds, else the name of the library's class."""
    return str(feature.dtype) if type(feature).__name__ == "Value" else type(feature).__name__


def _is_image(feature: Any) -> bool:
    """Images, also where a writer dropped the type and left its two fields."""
    return _kind(feature) == "Image" or (isinstance(feature, Mapping) and set(feature) == {"bytes", "path"})


def _is_label(feature: Any) -> bool:
    kind = _kind(feature)
    return kind == "ClassLabel" or kind in TEXT or kind.startswith(NUMBER)


def _is_list(feature: Any) -> bool:
    return type(feature).__name__ in ("List", "LargeList", "Sequence")
