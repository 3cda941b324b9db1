"""Small stand-ins for what the documents name: data sets, photographs, a video, weight files, trained runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from argus_core.plugins.data_spec import open_data

SIZE = (64, 96)
IMAGES = {"train": 4, "val": 2}


def make_world(root: Path) -> Path:
    """``root`` with a folder ``data``, ``photos``, ``video.mp4`` and weight files with random numbers."""
    scenes = open_data("scenes:images=4,val=2,size=64x96")
    data = root / "data"
    coco(data / "bccd", scenes, "RBC")
    for name in ("coco256", "rf20-vl/one", "rf20-vl/two"):
        coco(data / name, scenes, "person")
    class_folders(data / "clothing10", scenes)
    rooms(data / "nyuv2", scenes)
    rooms(data / "camvid", scenes, masks="masks")
    nyu(data / "nyu", scenes)
    ade20k(data / "ade20k", scenes)
    pairs(data / "pf_willow")
    for number, name in enumerate(("a.jpg", "b.jpg")):
        save(root / "photos" / name, scenes["val"].read(number))
        save(root / name, scenes["val"].read(number))
    save(root / "photo.jpg", scenes["val"].read(0))
    video(root / "video.mp4", scenes)
    torch.manual_seed(0)
    for name, file in (("vit_tiny_patch16_224", "vit_tiny"), ("mobilenetv2_100", "mobilenet")):
        save_file(timm.create_model(name, num_classes=0).state_dict(), root / f"{file}.safetensors")
    return root


def save(path: Path, pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)
    return path


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def each(scenes):
    """Split name, number and split of every scene."""
    return [(name, index, split) for name, split in scenes.items() for index in range(len(split))]


def coco(root: Path, scenes, kind: str) -> None:
    """A folder per split with annotations beside the images, as Roboflow writes them; rings are called ``kind``."""
    for name, split in scenes.items():
        folder = root / {"val": "valid"}.get(name, name)
        classes = [kind if one == "ring" else one for one in split.tasks["detect"].classes]
        images, rows = [], []
        for index in range(len(split)):
            save(folder / f"{index}.png", split.read(index))
            images.append({"id": index, "file_name": f"{index}.png", "height": SIZE[0], "width": SIZE[1]})
            boxes = split.truth(index, "detect")
            for (x1, y1, x2, y2), label, area in zip(boxes.boxes.tolist(), boxes.labels, boxes.area, strict=True):
                row = {"image_id": index, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1]}
                rows.append({**row, "id": len(rows), "area": float(area), "iscrowd": 0})
        categories = [{"id": number, "name": one} for number, one in enumerate(classes)]
        write(folder / "_annotations.coco.json", {"images": images, "annotations": rows, "categories": categories})


def class_folders(root: Path, scenes) -> None:
    for name, index, split in each(scenes):
        for kind in ("hat", "shoe"):
            pixels = split.read(index)
            save(root / name / kind / f"{index}.png", pixels if kind == "hat" else 255 - pixels)


def rooms(root: Path, scenes, masks: str = "labels40") -> None:
    """Images with masks, depth in millimetres and labels in folders beside them."""
    names = scenes["train"].tasks["segment"].classes
    for name, index, split in each(scenes):
        save(root / "images" / name / f"{index}.png", split.read(index))
        save(root / masks / name / f"{index}.png", split.truth(index, "segment"))
        save(root / "depth" / name / f"{index}.png", millimetres(split, index))
    write(root / "classes.json", list(names))
    write(root / "meta.json", {"classes13": list(names), "to13": list(range(len(names)))})
    write(root / "labels.json", {f"{name}/{index}.png": f"kind {index % 2}" for name, index, _ in each(scenes)})


def millimetres(split, index: int):
    return (split.truth(index, "depth") / 10 * 1000).astype(np.uint16)


def nyu(root: Path, scenes) -> None:
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for name, index, split in each(scenes):
        save(root / f"{name}{index}.png", split.read(index))
        save(root / f"{name}{index}_depth.png", millimetres(split, index))
        lines[name].append(f"{name}{index}.png {name}{index}_depth.png 518.8579")
    write(root / "nyu_train.txt", "\n".join(lines["train"]))
    write(root / "nyu_test.txt", "\n".join(lines["val"]))


def ade20k(root: Path, scenes) -> None:
    for name, index, split in each(scenes):
        folder = {"train": "training", "val": "validation"}[name]
        save(root / "images" / folder / f"ADE_{index}.jpg", split.read(index))
        save(root / "annotations" / folder / f"ADE_{index}.png", split.truth(index, "segment") + 1)
    rows = [f"{number}\t0.1\t1\t1\t\tthing {number}" for number in range(1, 151)]
    write(root / "objectInfo150.txt", "\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]))


def pairs(root: Path) -> None:
    """Three pairs of views each for training and testing, with exact matches."""
    split = open_data("scenes:images=4,val=2,size=64x96")["train"]
    images, listed = {}, []
    for number in range(4):
        pair = split.pair(number, points=8)
        for side, scene in (("a", pair.first), ("b", pair.second)):
            save(root / f"{number}{side}.png", scene.image)
            images[f"{number}{side}"] = {"file": f"{number}{side}.png", "bbox": [0, 0, SIZE[1], SIZE[0]]}
        seen = np.flatnonzero(pair.visible)
        points = {"src_points": pair.points[seen].tolist(), "trg_points": pair.matches[seen].tolist()}
        ends = {"src": f"{number}a", "trg": f"{number}b", "split": ("train", "test")[number % 2]}
        listed.append({**ends, **points})
    write(root / "pairs.json", {"images": images, "pairs": listed})


def video(path: Path, scenes) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scenes["train"].read(index), format="rgb24")))
        container.mux(stream.encode())
