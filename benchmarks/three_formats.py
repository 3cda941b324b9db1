"""One data set of boxes in three formats, written by supervision: the same truth, and the same scores of detectors.

``python three_formats.py DATA OUT`` takes a COCO folder with train.json and val.json, such as BCCD, with file names
relative to it. OUT then holds coco/, yolo/ and voc/, each as another program wrote it. Argus opens all three, compares
every box byte for byte, and, unless ``--epochs 0`` is given, caches tokens and trains a detector from each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from argus_core import open_data
from argus_core.data import DataSet

SPLITS = ("train", "val")
COLUMNS = ("boxes", "labels", "crowd", "difficult", "area")
BACKBONE = ("--backbone", "lite0", "--canvas", "320", "--layers", "2,3,4", "--batch", "8")
HEAD = ("--head", "slim_fcos", "--set", "width=64", "--set", "batch=8")


def write(data: Path, out: Path) -> dict[str, str]:
    """The three data sets below ``out``, and the spec of each."""
    warnings.filterwarnings("ignore", message=".*OpenCV")
    import supervision

    for split in SPLITS:
        source = supervision.DetectionDataset.from_coco(str(data), str(data / f"{split}.json"))
        coco, yolo, voc = out / "coco" / split, out / "yolo" / split, out / "voc" / split
        source.as_coco(str(coco), str(coco / "_annotations.coco.json"))
        source.as_yolo(str(yolo / "images"), str(yolo / "labels"), str(out / "yolo/data.yaml"))
        source.as_pascal_voc(str(voc), str(voc))
    # An XML file names the class of an object, but nothing in VOC says in which order classes come.
    (out / "voc/classes.txt").write_text("".join(f"{name}\n" for name in source.classes), encoding="utf-8")
    return {name: f"{name}:{out / name}" for name in ("coco", "yolo", "voc")}


def compare(sets: Mapping[str, DataSet]) -> None:
    """Print what differs from the first data set: bytes of the columns, pixels, digests."""
    first = next(iter(sets.values()))
    for name, data in sets.items():
        for split in SPLITS:
            ours, theirs = data[split], first[split]
            pairs = [(ours.truth(n, "detect"), theirs.truth(n, "detect")) for n in range(len(ours))]
            same = [c for c in COLUMNS if all(getattr(a, c).tobytes() == getattr(b, c).tobytes() for a, b in pairs)]
            away = max(float(np.abs(a.boxes - b.boxes).max(initial=0)) for a, b in pairs)
            keys = all(ours.key(n) == theirs.key(n) and ours.digest(n) == theirs.digest(n) for n in range(len(ours)))
            print(
                f"{name:5}{split:6}{len(ours):5} images {sum(len(a.labels) for a, _ in pairs):6} boxes; "
                f"images {'the same' if keys else 'OTHERS'}; equal bytes: {', '.join(same)}; "
                f"furthest side {away:.3g} px; digest {ours.annotation_digest()[:12]}"
            )


def train(name: str, spec: str, out: Path, epochs: int) -> dict[str, float]:
    """The scores of a detector that was cached, trained and scored on one of the data sets."""
    cache, run = out / f"cache-{name}", out / f"run-{name}"
    arena(out / f"{name}.log", "cache", "--data", spec, "--out", str(cache), *BACKBONE)
    settings = (*HEAD, "--set", f"epochs={epochs}")
    arena(out / f"{name}.log", "train", "--data", spec, "--cache", str(cache), "--out", str(run), *settings)
    (result,) = run.glob("*/result.json")
    return json.loads(result.read_text(encoding="utf-8"))["metrics"]


def arena(log: Path, *arguments: str) -> None:
    """Run a command line; what it prints goes to the end of ``log``."""
    with log.open("a") as stream:
        subprocess.run([sys.executable, "-m", "argus_arena", *arguments], stdout=stream, stderr=stream, check=True)


def main() -> None:
    """Write, compare, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    specs = write(options.data, options.out)
    compare({name: open_data(spec) for name, spec in specs.items()})
    if options.epochs:
        for name, spec in specs.items():
            scores = train(name, spec, options.out, options.epochs)
            print(f"{name:5} AP {scores['AP']:.6f}  AP50 {scores['AP50']:.6f}", flush=True)


if __name__ == "__main__":
    main()
