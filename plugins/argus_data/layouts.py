"""By what the files of each data set are known, so that a bare path is opened as what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from argus_core.data import Layout
from argus_core.image import IMAGES, is_hidden, suffix_of
from argus_data.coco.layout import coco_layout
from argus_data.files.images import split_folders
from argus_data.folders.imagenet import DEVKIT, MAPPING
from argus_data.hf.data_set import hf_layout
from argus_data.tables.clicks import click_layout
from argus_data.tables.data_set import table_layout
from argus_data.voc.layout import voc_layout
from argus_data.yolo.image_files import unnamed_labels
from argus_data.yolo.split import yolo_layout

ROLES = frozenset(
    {
        *("images", "image", "img", "imgs", "jpegimages", "labels", "annotations", "annotation", "imagesets", "data"),
        *("masks", "mask", "depth", "depths", "segmentationclass", "segmentationobject", "leftimg8bit", "gtfine"),
    }
)
"""What folders are called that hold parts of a data set and are no classes, in lower case."""
LOOKED = 20
"""Entries of a class folder that are looked at for an image."""


def known_layouts() -> Mapping[str, Layout]:
    """The layouts of all data sets that files show, by data spec without the path."""
    layouts = {
        "coco": Layout("annotations/instances_*.json, SPLIT/_annotations.coco.json or train.json of COCO", coco_layout),
        "yolo": Layout("a YAML file with names:, obj.data, classes.txt beside labels, or label files", yolo_layout),
        "voc": Layout("JPEGImages/ beside Annotations/ or SegmentationClass/, or XML files of Pascal VOC", voc_layout),
        "folder": Layout("train/CLASS/IMAGES, or several CLASS/IMAGES", _class_folders),
        "hf": Layout("dataset_dict.json or state.json of save_to_disk, metadata.csv or .jsonl, or parquet", hf_layout),
        "csv": Layout("a CSV or TSV file with columns of images and labels, or train.csv", table_layout),
        "clicks": Layout("clicks.csv or clicks.json beside images", click_layout),
        "imagenet": Layout(f"train/SYNSET/ beside {MAPPING} or the devkit", _imagenet),
        "images,masks=masks,classes=classes.json": Layout(
            "images/ beside masks/ and classes.json", _all_of("images/", "masks/", "classes.json")
        ),
        "images,depth=depth": Layout("images/ beside depth/, in millimetres", _all_of("images/", "depth/")),
        "cityscapes": Layout("leftImg8bit/ beside gtFine/", _all_of("leftImg8bit/", "gtFine/")),
        "ade20k": Layout("images/ beside annotations/ and objectInfo150.txt", _all_of("images/", "objectInfo150.txt")),
        "nyu": Layout("nyu_train.txt or nyu_test.txt", _any_of("nyu_train.txt", "nyu_test.txt")),
        "spair": Layout("Layout/ beside PairAnnotation/", _all_of("Layout/", "PairAnnotation/")),
        "pairs": Layout("pairs.json", _any_of("pairs.json")),
        "pf_willow": Layout("test_pairs_pf.csv", _any_of("test_pairs_pf.csv")),
    }
    return {**layouts, "yolo": Layout(layouts["yolo"].files, _yolo(layouts))}


def _yolo(layouts: Mapping[str, Layout]) -> Callable[[Path], str]:
    """Recognises YOLO; by its labels alone, which COCO may have too, only what is no other data set."""

    def found(path: Path) -> str:
        if (reason := yolo_layout(path)) or not (labels := unnamed_labels(path)):
            return reason
        return "" if any(layout.found(path) for layout in layouts.values()) else f"{labels} is a label file"

    return found


def _all_of(*names: str) -> Callable[[Path], str]:
    """Recognises a folder with all these entries; names of folders end with a slash."""

    def found(path: Path) -> str:
        there = all((path / name).is_dir() if name.endswith("/") else (path / name).is_file() for name in names)
        return f"{names[0]} beside {' and '.join(names[1:])}" if there else ""

    return found


def _any_of(*names: str) -> Callable[[Path], str]:
    """Recognises a folder with one of these files."""
    return lambda path: next((name for name in names if (path / name).is_file()), "")


def _class_folders(path: Path) -> str:
    """Folders of images, called by classes and not by what they hold."""
    if not path.is_dir() or _imagenet(path):
        return ""
    splits = split_folders(path)
    roots = splits.values() or [path]
    classes = {child.name for root in roots for child in _folders(root)}
    full = all(_has_image(child) for root in roots for child in islice(_folders(root), LOOKED))
    if len(classes) < 2 or not full or ROLES & {name.lower() for name in classes}:
        return ""
    where = f"{'/ and '.join(folder.name for folder in splits.values())}/" if splits else "it"
    return f"{len(classes)} folders of images in {where}"


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not is_hidden(child.name))


def _has_image(folder: Path) -> bool:
    return any(suffix_of(file.name) in IMAGES for file in islice(_entries(folder), LOOKED))


def _entries(folder: Path) -> Iterable[Path]:
    return (entry for entry in folder.iterdir() if not is_hidden(entry.name))


def _imagenet(path: Path) -> str:
    named = next((name for name in (MAPPING, DEVKIT) if (path / name).exists()), "")
    return f"{named} beside train/" if named and (path / "train").is_dir() else ""
