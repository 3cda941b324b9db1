"""What `arena data audit` finds of planted faults: copies, wrong labels, wrong boxes; and what it takes.

python audit.py DATA OUT    # DATA holds imagenette160, bccd and pf_willow

Caches go to OUT/caches, only where they are missing. ``--only`` names parts: copies (re-encoded, resized, cropped and
mirrored copies of training images in val), willow (images of PF-WILLOW in train and test pairs), labels (5 % of the
classes of images swapped), odd (blank, noisy, dark and half grey images, text, blood cells), boxes (5 % of the classes
of boxes swapped) and places (5 % of the boxes each shifted, removed and added). ``--backbone`` are options of
`arena cache`. Every line is also written to OUT/audit.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from sklearn.metrics import roc_auc_score
from torchvision.ops import box_iou

from argus_arena.audit.boxes import Support, examine, judged
from argus_arena.audit.copies import across, find_copies, groups
from argus_arena.audit.labels import judge
from argus_arena.audit.lessons import Annotated, predictions
from argus_arena.audit.opened import Opened, open_caches
from argus_arena.audit.outliers import beyond, find_outliers
from argus_arena.audit.regions import read_regions
from argus_arena.audit.vectors import find_neighbours, read_vectors
from argus_core.tasks.detect import Boxes
from minute_heads import arena

SHARE, SEEDS, COPIES = 0.05, 3, 160
Picture = Image.Image
CHANGES: dict[str, Callable[[Picture, random.Random], tuple[Picture, int]]] = {
    "reencoded": lambda image, _: (image, 40),
    "resized": lambda image, _: (image.resize((round(image.width * 0.6), round(image.height * 0.6))), 90),
    "cropped": lambda image, chance: (_cropped(image, chance), 90),
    "mirrored": lambda image, _: (ImageOps.mirror(image), 90),
}
"""How a copy is made, and the quality of its JPEG."""


def _cropped(image: Picture, chance: random.Random, side: float = 0.9) -> Picture:
    x, y = (chance.uniform(0, size * (1 - side)) for size in image.size)
    return image.crop((round(x), round(y), round(x + image.width * side), round(y + image.height * side)))


def plant_copies(source: Path, out: Path) -> dict[frozenset[str], str]:
    """Class folders with links to images of ``source``, and copies of some in val; by pair of names the change."""
    chance, planted = random.Random(0), {}
    for path in sorted(source.glob("*/*/*")):
        link = out / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    chosen = chance.sample(sorted((source / "train").glob("*/*")), COPIES)
    for number, path in enumerate(chosen):
        name = list(CHANGES)[number % len(CHANGES)]
        picture, quality = CHANGES[name](Image.open(path).convert("RGB"), chance)
        copy = out / "val" / path.parent.name / f"copy_{name}_{path.stem}.jpg"
        picture.save(copy, quality=quality)
        planted[frozenset({f"{path.parent.name}/{path.name}", f"{copy.parent.name}/{copy.name}"})] = name
    return planted


def plant_odd(data: Path, out: Path) -> None:
    """Twelve images, in class folders, that imagenette has none of."""
    chance, place = np.random.default_rng(0), out / "train" / "odd"
    place.mkdir(parents=True, exist_ok=True)
    plain = Image.open(sorted((data / "imagenette160/train/tench").iterdir())[3]).convert("RGB")
    half = np.array(plain)
    half[len(half) // 4 :] = 128
    text = Image.new("RGB", (213, 160), "white")
    for line in range(5, 155, 12):
        ImageDraw.Draw(text).text((5, line), "the quick brown fox jumps over", fill="black")
    made = {
        "black": np.zeros((160, 213, 3)),
        "white": np.full((160, 160, 3), 255),
        "grey": np.full((160, 200, 3), 127),
        "noise": chance.integers(0, 256, (160, 213, 3)),
        "gradient": np.tile(np.linspace(0, 255, 213)[None, :, None], (160, 1, 3)),
        "half-grey": half,
        "dark": np.array(plain) // 16,
        "negative": 255 - np.array(plain),
        "text": np.array(text),
    }
    for number, path in enumerate(sorted((data / "bccd/images/train").iterdir())[:3]):
        cells = Image.open(path).convert("RGB")
        cells.thumbnail((213, 160))
        made[f"cells-{number}"] = np.array(cells)
    for name, pixels in made.items():
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{name}.png")


class Bench:
    """Data below ``root``, caches below ``out`` and where lines go."""

    def __init__(self, root: Path, out: Path, backbone: list[str]) -> None:
        self.root, self.out, self.backbone = root, out, backbone

    def opened(self, name: str, spec: str, *options: str) -> Opened:
        """The caches of a data set, made if there are none."""
        folder = self.out / "caches" / f"{name}-{self.backbone[1].partition(':')[0]}"
        if not (folder / "backbone.json").is_file():
            arena("cache", "--data", spec, "--out", str(folder), *self.backbone, *options)
        return open_caches([folder], [spec])

    def say(self, part: str, **values: Any) -> None:
        """Print and keep a line."""
        line = {"part": part, "backbone": self.backbone[1], **values}
        print(json.dumps(line), flush=True)
        with (self.out / "audit.jsonl").open("a") as lines:
            lines.write(json.dumps(line) + "\n")

    def copies(self) -> None:
        """Recall of planted copies by change, pairs found that were not planted, seconds and memory."""
        planted = plant_copies(self.root / "imagenette160", self.out / "planted")
        layers = ("--layers", "3,5") if "lite0" in self.backbone else ()
        opened = self.opened("planted", f"folder:{self.out / 'planted'}", *IMAGENETTE, *layers)
        began = time.process_time()
        vectors = read_vectors(opened)
        found = find_copies(opened, vectors, find_neighbours(vectors.unit, 10))
        seconds = time.process_time() - began
        pairs = [frozenset({opened.key(pair.one), opened.key(pair.other)}) for pair in found.pairs]
        hits = Counter(planted[pair] for pair in pairs if pair in planted)
        mirrored = sum(pair.kind == "mirrored" for pair in found.pairs)
        others = [sorted(pair) for pair in pairs if pair not in planted]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.say(
            "copies",
            planted=len(planted),
            found=dict(hits),
            called_mirrored=mirrored,
            others=others,
            threshold=round(found.threshold, 3),
            cpu_seconds=round(seconds, 1),
            peak_mib=round(memory),
        )

    def willow(self) -> None:
        """The images of PF-WILLOW that are in pairs of both splits."""
        spec = f"pf_willow:{self.root / 'pf_willow'}"
        opened = self.opened("willow", spec, "--canvas", "320", "--cls", "--splits", "train,test")
        vectors = read_vectors(opened)
        found = find_copies(opened, vectors, find_neighbours(vectors.unit, 10))
        both = [pair for pair in found.pairs if across(opened, pair)]
        self.say("willow", across=dict(Counter(pair.kind for pair in both)), pairs=len(found.pairs))

    def labels(self) -> None:
        """AUROC of the score for swapped classes of images, and how many of the first ones are swapped."""
        opened = self.opened("imagenette", f"folder:{self.root / 'imagenette160'}", *IMAGENETTE)
        annotated = Annotated.of(opened, "classify")
        assert annotated is not None
        truth = np.array([int(annotated.truth(number)) for number in annotated.numbers])
        inputs = torch.nn.functional.normalize(read_vectors(opened).raw, dim=1)
        self._swapped("labels", truth, inputs, len(annotated.classes), np.arange(len(truth)))

    def odd(self) -> None:
        """How images that are unlike imagenette are told from its own."""
        plant_odd(self.root, self.out / "odd")
        own = self.opened("imagenette", f"folder:{self.root / 'imagenette160'}", *IMAGENETTE)
        odd = self.opened("odd", f"folder:{self.out / 'odd'}", *IMAGENETTE, "--splits", "train", "--accept-faults")
        opened = Opened([*own.parts, *odd.parts])
        vectors = read_vectors(opened)
        planted = opened.places[:, 0] == len(own.parts)
        found = [one.number for one in find_outliers(vectors, find_neighbours(vectors.unit, 10))]
        self.say(
            "odd",
            planted=int(planted.sum()),
            auroc=round(float(roc_auc_score(planted, beyond(vectors.raw))), 4),
            found=sorted(opened.key(number) for number in found if planted[number]),
            others_listed=int((~planted[found]).sum()),
            images=int((~planted).sum()),
        )

    def boxes(self) -> None:
        """The same of swapped classes of boxes."""
        annotated, own = self._cells()
        regions = read_regions(annotated)
        classes = len(annotated.classes)
        self._swapped("boxes", regions.labels.numpy(), regions.vectors, classes, own[regions.images])

    def _swapped(self, part: str, truth: np.ndarray, inputs: torch.Tensor, classes: int, own: np.ndarray) -> None:
        for seed in range(SEEDS):
            chance = np.random.default_rng(seed)
            wrong = chance.choice(len(truth), round(SHARE * len(truth)), replace=False)
            given = truth.copy()
            given[wrong] = (truth[wrong] + chance.integers(1, classes, len(wrong))) % classes
            began = time.process_time()
            found = judge(inputs, torch.from_numpy(given), classes, own)
            doubtful = found.doubtful
            bad = given != truth
            self.say(
                part,
                seed=seed,
                annotations=len(truth),
                swapped=len(wrong),
                auroc=round(float(roc_auc_score(bad, found.score)), 4),
                listed=len(doubtful),
                of_them_swapped=int(bad[doubtful].sum()),
                certain=int(found.certain.sum()),
                of_them_right=int(bad[found.certain.numpy()].sum()),
                precision_at_planted=round(float(bad[doubtful[: len(wrong)]].mean()), 3),
                cpu_seconds=round(time.process_time() - began, 1),
            )

    def _cells(self) -> tuple[Annotated, np.ndarray]:
        spec = f"coco:{self.root / 'bccd'}"
        layers = ("--layers", "2,3,4") if "lite0" in self.backbone else ("--layers", "11")
        opened = self.opened("bccd", spec, "--canvas", "480", *layers, "--cls")
        vectors = read_vectors(opened)
        pairs = find_copies(opened, vectors, find_neighbours(vectors.unit, 10)).pairs
        annotated = Annotated.of(opened, "detect")
        assert annotated is not None
        return annotated, groups(pairs, len(opened))

    def places(self) -> None:
        """How boxes that were shifted, removed or added are told from the others."""
        annotated, own = self._cells()
        moved = _Moved.of(annotated)
        began = time.process_time()
        support = Support()
        detections = {}
        for number, canvas, placement in predictions(moved, own):
            detections[number] = annotated.task.merge([canvas], [placement])
            examine(number, moved.truth(number), detections[number], support)
        seconds = time.process_time() - began
        weak = np.array([1 - one[3] for one in support.boxes])
        marks = np.array([moved.marks[one[0]][one[1]] for one in support.boxes])
        found = judged(support)
        missing = [one for one in found if one.fault == "missing"]
        self.say(
            "places",
            boxes=len(marks),
            shifted=int((marks == 1).sum()),
            shifted_auroc=round(float(roc_auc_score(marks[marks != 2] == 1, weak[marks != 2])), 4),
            added=int((marks == 2).sum()),
            added_auroc=round(float(roc_auc_score(marks[marks != 1] == 2, weak[marks != 1])), 4),
            removed=sum(len(boxes) for boxes in moved.removed.values()),
            missing_listed=len(missing),
            removed_among_them=sum(_hit(one.box, moved.removed[one.number]) for one in missing),
            listed=dict(Counter(one.fault for one in found)),
            cpu_seconds=round(seconds, 1),
        )


def _hit(box: Any, boxes: np.ndarray) -> bool:
    if not len(boxes):
        return False
    return float(box_iou(torch.tensor([box]).double(), torch.from_numpy(boxes)).max()) >= 0.5


class _Moved(Annotated):
    """Annotated boxes of which some are shifted by 0.6 of their size (mark 1), removed, or added elsewhere (mark 2)."""

    marks: dict[int, np.ndarray]
    removed: dict[int, np.ndarray]
    planted: dict[int, Boxes]

    @classmethod
    def of(cls, annotated: Annotated) -> _Moved:  # type: ignore[override]
        """With the faults of one seed."""
        found = cls(annotated.opened, annotated.task, annotated.numbers)
        own: dict[str, dict[int, Any]] = {"marks": {}, "removed": {}, "planted": {}}
        chance = np.random.default_rng(0)
        for number in annotated.numbers:
            boxes, marks, removed = _moved(annotated.truth(number), annotated.opened.size(number), chance)
            own["planted"][number], own["marks"][number], own["removed"][number] = boxes, marks, removed
        for name, values in own.items():
            object.__setattr__(found, name, values)
        return found

    def truth(self, number: int) -> Boxes:
        """With the faults."""
        return self.planted[number]


def _moved(truth: Boxes, size: tuple[int, int], chance: np.random.Generator) -> tuple[Boxes, np.ndarray, np.ndarray]:
    limit = np.array([size[1], size[0]], dtype=float)
    boxes, labels = truth.boxes.copy(), truth.labels.copy()
    fate = chance.random(len(boxes))
    shifted, gone = fate < SHARE, (fate >= SHARE) & (fate < 2 * SHARE)
    angle = chance.uniform(0, 2 * np.pi, len(boxes))
    way = 0.6 * np.stack([np.cos(angle), np.sin(angle)], axis=1) * (boxes[:, 2:] - boxes[:, :2])
    boxes[shifted] += np.tile(way, 2)[shifted]
    boxes = np.clip(boxes, 0, np.tile(limit, 2))
    added = list(_added(truth, fate >= 1 - SHARE, limit, chance))
    corners = np.concatenate([boxes[~gone], *[box[None] for box, _ in added]])
    names = np.concatenate([labels[~gone], np.array([label for _, label in added], dtype=np.int64)])
    marks = np.concatenate([shifted[~gone].astype(int), np.full(len(added), 2)])
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    none = np.zeros(len(names), dtype=bool)
    return replace(truth, boxes=corners, labels=names, crowd=none, area=area, difficult=none), marks, truth.boxes[gone]


def _added(
    truth: Boxes, chosen: np.ndarray, limit: np.ndarray, chance: np.random.Generator
) -> Iterator[tuple[np.ndarray, int]]:
    """Boxes of the size of some, where no annotated one lies."""
    for row in np.flatnonzero(chosen):
        size = truth.boxes[row, 2:] - truth.boxes[row, :2]
        corner = chance.uniform(0, 1, 2) * (limit - size)
        box = np.concatenate([corner, corner + size])
        if float(box_iou(torch.from_numpy(box[None]), torch.from_numpy(truth.boxes)).max()) < 0.2:
            yield box, int(truth.labels[row])


IMAGENETTE = ("--canvas", "224", "--cls")
PARTS = ("copies", "willow", "labels", "odd", "boxes", "places")


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--backbone", default="--backbone lite0", help="options of `arena cache`")
    options = parser.parse_args()
    bench = Bench(options.data, options.out, shlex.split(options.backbone))
    for part in options.only:
        getattr(bench, part)()


if __name__ == "__main__":
    main()
