"""Results about images with awkward names, their truth in COCO's format, and readers of files that are not Argus's."""

from __future__ import annotations

import contextlib
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from argus_core.tasks.detect import DetectionResult, Detections

CLASSES = ("red cell", 'white & "big" <cell>', "Plättchen")
PHOTOS = {
    "plain.jpg": (48, 96),
    "with blank.png": (61, 37),
    "Größe (1).jpg": (90, 90),
    "a.b.c.png": (64, 200),
    "north/plain.jpg": (50, 70),
    "north/again.png": (33, 77),
    "north/again.jpg": (33, 78),
    "empty.png": (40, 40),
}
"""Files and their heights and widths; two have one stem, and nothing is in the last."""


def make_photos(folder):
    """The files, with noise in them."""
    random = np.random.default_rng(0)
    for name, size in PHOTOS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return folder


def make_results(folder):
    """{path: result} with 3 to 9 boxes per image near the truth, and the truth as COCO has it, ids from 100."""
    random = np.random.default_rng(1)
    truth = {"images": [], "annotations": [], "categories": [{"id": n + 1, "name": c} for n, c in enumerate(CLASSES)]}
    results = {}
    for number, (name, (height, width)) in enumerate(PHOTOS.items()):
        count = 0 if name == "empty.png" else int(random.integers(3, 9))
        corner = random.uniform(0, 0.6, (count, 2)) * (width, height)
        side = random.uniform(0.1, 0.4, (count, 2)) * (width, height)
        labels = random.integers(0, len(CLASSES), count)
        truth["images"].append({"id": 100 + number, "file_name": name, "height": height, "width": width})
        for (x, y), (w, h), label in zip(corner.tolist(), side.tolist(), labels.tolist(), strict=True):
            one = {"image_id": 100 + number, "category_id": label + 1, "bbox": [x, y, w, h], "area": w * h}
            truth["annotations"].append({**one, "id": len(truth["annotations"]) + 1, "iscrowd": 0})
        noise = random.normal(0, 0.03, (count, 4)) * ([width, height] * 2)
        boxes = np.clip(np.concatenate([corner, corner + side], 1) + noise, 0, [width, height] * 2)
        scores = np.sort(random.uniform(size=count).round(2))[::-1].copy()  # some are the same
        found = Detections(torch.tensor(boxes).float(), torch.tensor(scores).float(), torch.tensor(labels))
        pixels = np.asarray(Image.open(folder / name).convert("RGB"))
        results[folder / name] = DetectionResult(pixels, found, CLASSES)
    return results, truth


def twelve_scores(truth, entries):
    """What pycocotools gives a list of entries, or a file of them."""
    with contextlib.redirect_stdout(io.StringIO()):
        held = COCO()
        held.dataset = truth
        held.createIndex()
        scored = COCOeval(held, held.loadRes(str(entries) if isinstance(entries, Path) else entries), "bbox")
        scored.evaluate(), scored.accumulate(), scored.summarize()
    return scored.stats


def entry(image, label, box, score):
    x1, y1, x2, y2 = box
    return {"image_id": image, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}


def ids_of(folder, truth, images):
    """{stem of a file in ``images``: id of the image it links to}."""
    ids = {str((folder / each["file_name"]).resolve()): each["id"] for each in truth["images"]}
    files = [path for path in images.rglob("*") if path.is_file()]
    return {path.relative_to(images).with_suffix("").as_posix(): ids[str(path.resolve())] for path in files}


def read_yolo(root, ids):
    """Entries of a folder of YOLO, whose lines have scores."""
    names = list(yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))["names"].values())
    assert names == list(CLASSES)
    for stem, image in ids.items():
        with Image.open(next((root / "images").glob(f"{stem}.*"))) as picture:
            width, height = picture.size
        for line in (root / "labels" / f"{stem}.txt").read_text().splitlines():
            label, cx, cy, w, h, score = map(float, line.split())
            assert all(0 <= value <= 1 for value in (cx, cy, w, h, score))
            box = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
            yield entry(image, int(label), box, score)


def read_voc(root, ids):
    """Entries of a folder of Pascal VOC, whose pixels count from 1."""
    for stem in (root / "ImageSets/Main/train.txt").read_text(encoding="utf-8").splitlines():
        annotation = ElementTree.parse(root / "Annotations" / f"{stem}.xml").getroot()
        with Image.open(root / "JPEGImages" / annotation.findtext("filename")) as picture:
            assert picture.size == tuple(int(annotation.findtext(f"size/{side}")) for side in ("width", "height"))
        for found in annotation.iter("object"):
            x1, y1, x2, y2 = (float(found.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
            label = CLASSES.index(found.findtext("name"))
            yield entry(ids[stem], label, [x1 - 1, y1 - 1, x2, y2], float(found.findtext("score")))


def read_fiftyone(root, folder, truth):
    """Entries of a folder that FiftyOne imports, the way its importer pairs labels and images."""
    ids = {str((folder / each["file_name"]).resolve()): each for each in truth["images"]}
    paths = {
        Path(name).with_suffix("").as_posix(): path for name, path in json.loads(_read(root / "data.json")).items()
    }
    labels = json.loads(_read(root / "labels.json"))
    assert labels["classes"] == list(CLASSES) and set(labels["labels"]) == set(paths)
    for name, found in labels["labels"].items():
        image = ids[paths[name]]
        for each in found:
            x, y, w, h = np.array(each["bounding_box"]) * ([image["width"], image["height"]] * 2)
            yield entry(image["id"], each["label"], [x, y, x + w, y + h], each["confidence"])


def _read(path):
    return path.read_text(encoding="utf-8")
