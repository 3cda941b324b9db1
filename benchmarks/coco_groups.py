"""The photographs of coco256 and coco_plus with COCO's 12 groups of classes in place of 80 classes.

Nothing here is run by itself: see flags.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_core.common.files import read_json, write_json

GROUPS = {
    "person": "person",
    "vehicle": "bicycle,car,motorcycle,airplane,bus,train,truck,boat",
    "outdoor": "traffic light,fire hydrant,stop sign,parking meter,bench",
    "animal": "bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe",
    "accessory": "backpack,umbrella,handbag,tie,suitcase",
    "sports": "frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket",
    "kitchen": "bottle,wine glass,cup,fork,knife,spoon,bowl",
    "food": "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake",
    "furniture": "chair,couch,potted plant,bed,dining table,toilet",
    "electronic": "tv,laptop,mouse,remote,keyboard,cell phone",
    "appliance": "microwave,oven,toaster,sink,refrigerator",
    "indoor": "book,clock,vase,scissors,teddy bear,hair drier,toothbrush",
}
NUMBER = {name: number for number, names in enumerate(GROUPS.values(), start=1) for name in names.split(",")}
"""The number of the group, from 1, of each of the 80 classes."""
SOURCES = {
    "train": (("coco256", "train"), ("coco256", "val"), ("coco_plus", "train")),
    "val": (("coco_plus", "val"),),
}


def write_boxes(data: Path, out: Path) -> str:
    """565 training images and 100 of validation with boxes, below ``out``; returns the data spec."""
    for split, sources in SOURCES.items():
        whole: dict[str, Any] = {"images": [], "annotations": []}
        whole["categories"] = [{"id": number, "name": name} for number, name in enumerate(GROUPS, start=1)]
        for name, part in sources:
            for image, boxes in _images(read_json(data / name / f"{part}.json", "")):
                number = len(whole["images"])
                source = next((data / name / "images").rglob(Path(image["file_name"]).name))
                whole["images"].append({**image, "id": number, "file_name": _link(source, out / "images" / split)})
                whole["annotations"] += [
                    {**box, "id": len(whole["annotations"]) + place, "image_id": number}
                    for place, box in enumerate(boxes)
                ]
        write_json(out / f"{split}.json", whole)
    return f"coco:{out}"


def write_masks(data: Path, out: Path) -> str:
    """The 309 and 100 images of coco_plus with masks, below ``out``; returns the data spec."""
    for split in SOURCES:
        values = read_json(data / "coco_plus" / f"{split}.json", "")
        table = np.full(256, 255, np.uint8)
        table[0] = 0
        for category in values["categories"]:
            table[category["id"]] = NUMBER[category["name"]]
        for image, _ in _images(values):
            stem = Path(image["file_name"]).stem
            _link(next((data / "coco_plus" / "images").rglob(f"{stem}.*")), out / "images" / split)
            mask = out / "masks" / split / f"{stem}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(next((data / "coco_plus" / "masks").rglob(f"{stem}.png"))) as file:
                Image.fromarray(table[np.asarray(file)]).save(mask)
    write_json(out / "classes.json", {"ignore_index": 255, "classes": ["background", *GROUPS]})
    return f"images:{out},masks=masks,classes=classes.json"


def _images(values: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Images with their boxes, which have groups for categories."""
    groups = {category["id"]: NUMBER[category["name"]] for category in values["categories"]}
    boxes: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in values["images"]}
    for box in values["annotations"]:
        kept = {key: box[key] for key in ("bbox", "area", "iscrowd")}
        boxes[box["image_id"]].append({**kept, "category_id": groups[box["category_id"]]})
    return ((image, boxes[image["id"]]) for image in values["images"])


def _link(source: Path, folder: Path) -> str:
    """Let an image be found in a folder too; returns its name."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / source.name).is_symlink():
        (folder / source.name).symlink_to(source.resolve())
    return source.name
