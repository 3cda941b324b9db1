"""What a flag is worth: whether heads of one model that disagree find false detections and wrong pixels of masks.

python flags.py DATA OUT [--seeds 3] [--sets coco_plus scenes]

DATA holds coco256 and coco_plus, whose 80 classes are taken as COCO's 12 groups; scenes are drawn. A seed is a random
half of the training images, from which heads are solved. Printed are AUROCs: of the head's own confidence, and of
logistic regressions of it and what other heads say, fitted on other images than they are scored on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from torchvision.ops import box_iou

from argus_core import Argus, Canvas, load_backbone
from argus_core.common.allocator import keep_memory
from argus_core.data import Split
from argus_core.model import Perception
from argus_core.model.flags import find_flags, pixels_in
from argus_core.plugins.data_spec import open_data
from argus_core.tasks.detect import Boxes, Detections
from coco_groups import write_boxes, write_masks
from minute_heads import LITE0, Bench, DataSet

Array = npt.NDArray[Any]
PIXELS = 400
"""Pixels of an image that are asked about."""
FAR = 6
"""Pixels from the edge of a mask beyond which an edge of depth is not explained by it."""


class World(NamedTuple):
    """Data specs of boxes and of masks of the same validation images, and the canvas."""

    boxes: str
    masks: str
    canvas: int
    depth: bool


def worlds(data: Path, out: Path) -> dict[str, World]:
    """The data sets by name."""
    scenes = "scenes:images=300,val=150,size=256"
    boxes, masks = write_boxes(data, out / "boxes"), write_masks(data, out / "masks")
    return {"coco_plus": World(boxes, masks, 320, False), "scenes": World(scenes, scenes, 256, True)}


def solved(world: World, name: str, caches: Path, seed: int) -> Argus:
    """A model whose heads are solved from a random half of the training images."""
    random, heads = np.random.default_rng(seed), {}
    for part, spec, wanted in (
        ("boxes", world.boxes, ["detect.closed_form"]),
        ("masks", world.masks, ["segment.ridge", *(["depth.ridge"] if world.depth else [])]),
    ):
        cached = DataSet(f"{name}-{part}", spec, ("--canvas", str(world.canvas)), ())
        bench = Bench(spec, cached.cache(Path(), caches, LITE0))
        half = [bench.train[n] for n in random.permutation(len(bench.train))[: len(bench.train) // 2]]
        for head in wanted:
            heads[head.partition(".")[0]] = made = bench.make(head)
            bench.solve(made, sorted(half))
    return Argus(load_backbone("lite0"), heads, Canvas(world.canvas))


@dataclass
class Found:
    """Rows of detections (image, confidence, flagged, shares of own class, other classes and background, false) and
    of pixels (image, confidence, background, best box of the class, best box, depth edge, the same far from an edge
    of masks, distance to an edge of masks, wrong).
    """

    detections: list[tuple[float, ...]]
    pixels: list[tuple[float, ...]]


def look(argus: Argus, world: World) -> Found:
    """Ask about the validation images."""
    found, random = Found([], []), np.random.default_rng(0)
    boxes, masks = open_data(world.boxes)["val"], open_data(world.masks)["val"]
    place = {Path(masks.key(n)).stem: n for n in range(len(masks))}
    for image in range(len(boxes)):
        seen = argus.perceive(boxes.read(image))
        found.detections += detections(seen, boxes, image)
        truth = np.asarray(masks.truth(place[Path(boxes.key(image)).stem], "segment"))
        found.pixels += pixels(seen, truth, image, random)
    return found


def detections(seen: Perception, split: Split, image: int) -> Iterator[tuple[float, ...]]:
    """The rows of an image's detections, but of those that only a crowd explains."""
    found, mask = seen["detections"], seen["segmentation"]
    boxes, scores, labels = arrays(found.detections)
    right, ignored = matched(boxes, scores, labels, split.truth(image, "detect"))
    flagged = {flag.detection for flag in find_flags(seen.results)}
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        inside = pixels_in(mask.labels, box.tolist())
        if ignored[number] or not inside.size:
            continue
        own = float((inside == mask.classes.index(found.classes[label])).mean())
        ground = float(grounds(seen)[inside].mean())
        yield image, scores[number], number in flagged, own, 1 - own - ground, ground, not right[number]


def grounds(seen: Perception) -> Array:
    """Which classes of masks, and the value of pixels that have none, no box has (256,)."""
    out = np.ones(256, bool)
    out[[seen["segmentation"].classes.index(name) for name in seen["detections"].classes]] = False
    return out


def arrays(found: Detections) -> tuple[Array, Array, Array]:
    """Boxes, scores and labels."""
    return np.asarray(found.boxes), np.asarray(found.scores), np.asarray(found.labels)


def matched(boxes: Array, scores: Array, labels: Array, truth: Boxes) -> tuple[Array, Array]:
    """Whether each detection, best first, has an object of its class at an IoU of 0.5, and whether that is ignored."""
    overlap = box_iou(torch.as_tensor(boxes).double(), torch.as_tensor(truth.boxes).double().view(-1, 4)).numpy()
    right, ignored, taken = np.zeros(len(scores), bool), np.zeros(len(scores), bool), set()
    for number in np.argsort(-scores):
        free = [n for n in np.flatnonzero(np.asarray(truth.labels) == labels[number]) if n not in taken]
        overlaps = [(overlap[number, n], n) for n in free]
        if overlaps and max(overlaps)[0] >= 0.5:
            best = max(overlaps)[1]
            right[number], ignored[number] = not truth.ignored[best], truth.ignored[best]
            if not truth.ignored[best]:
                taken.add(best)
    return right, ignored


def pixels(seen: Perception, truth: Array, image: int, random: np.random.Generator) -> Iterator[tuple[float, ...]]:
    """The rows of some pixels of an image."""
    found, mask = seen["detections"], seen["segmentation"]
    own, any_ = np.zeros(truth.shape), np.zeros(truth.shape)
    for box, score, label in zip(*arrays(found.detections), strict=True):
        left, top, right, bottom = (max(round(float(value)), 0) for value in box)
        part = np.s_[top:bottom, left:right]
        any_[part] = np.maximum(any_[part], score)
        own[part] = np.maximum(own[part], score * (mask.labels[part] == mask.classes.index(found.classes[label])))
    ground = grounds(seen)
    edges = ndimage.morphological_gradient(mask.labels, 3) > 0
    away, steps = ndimage.distance_transform_edt(~edges), np.zeros(truth.shape)
    if "depth" in seen:
        steps = ndimage.gaussian_gradient_magnitude(np.log(seen["depth"].metres), 2)
    for row, column in random.integers(0, truth.shape, (PIXELS, 2)):
        at, label = (row, column), mask.labels[row, column]
        if truth[at] != mask.ignore:
            far = steps[at] * (away[at] > FAR)
            other = (ground[label], own[at], any_[at], steps[at], far, np.log1p(away[at]))
            yield image, mask.confidence[at], *other, label != truth[at]


def held_out(columns: Sequence[Array], false: Array, image: Array) -> Array:
    """What regressions say of images on which they were not fitted."""
    values, out = np.stack(columns, 1), np.zeros(len(false))
    values = (values - values.mean(0)) / (values.std(0) + 1e-9)
    for known, asked in GroupKFold(5).split(values, false, image):
        model = LogisticRegression(C=10, max_iter=1000).fit(values[known], false[known])
        out[asked] = model.decision_function(values[asked])
    return out


def logit(score: Array) -> Array:
    """The log odds."""
    kept = np.clip(score, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))


def gain(false: Array, first: Array, second: Array, image: Array) -> tuple[float, ...]:
    """By how much the second finds more, with the interval at 95 % over resampled images."""
    random, rows = np.random.default_rng(1), [np.flatnonzero(image == n) for n in np.unique(image)]
    apart = []
    for _ in range(300):
        drawn = np.concatenate([rows[n] for n in random.integers(0, len(rows), len(rows))])
        apart.append(roc_auc_score(false[drawn], second[drawn]) - roc_auc_score(false[drawn], first[drawn]))
    whole = roc_auc_score(false, second) - roc_auc_score(false, first)
    return tuple(round(float(value), 4) for value in (whole, *np.quantile(apart, [0.025, 0.975])))


def figures(found: Found) -> dict[str, Any]:
    """What confidence finds, and how much more with the other heads."""
    boxes = np.array(found.detections, dtype=float)
    image, score, flag, false = boxes[:, 0], boxes[:, 1], boxes[:, 2].astype(bool), boxes[:, -1].astype(bool)
    alone = held_out([logit(score)], false, image)
    shares = held_out([logit(score), *boxes[:, 3:6].T], false, image)
    spots = np.array(found.pixels, dtype=float)
    where, wrong = spots[:, 0], spots[:, -1].astype(bool)
    sure = held_out([logit(spots[:, 1]), spots[:, 2]], wrong, where)
    by_boxes = held_out([logit(spots[:, 1]), *spots[:, 2:5].T, spots[:, 2] * spots[:, 4]], wrong, where)
    by_depth = held_out([logit(spots[:, 1]), *spots[:, [2, 5, 6, 7]].T], wrong, where)
    return {
        "detections": len(boxes),
        "false": float(false.mean()),
        "flagged": float(flag.mean()),
        "false of the flagged": float(false[flag].mean()),
        "false of the others": float(false[~flag].mean()),
        "confidence": float(roc_auc_score(false, -score)),
        "half the confidence if flagged": gain(false, -score, -score * np.where(flag, 0.5, 1), image),
        "regression on shares": gain(false, alone, shares, image),
        "pixels": len(spots),
        "wrong": float(wrong.mean()),
        "pixel confidence": float(roc_auc_score(wrong, sure)),
        "with boxes": gain(wrong, sure, by_boxes, where),
        "with depth edges": gain(wrong, sure, by_depth, where),
    }


def main() -> None:
    """Solve, look, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=["coco_plus", "scenes"], choices=["coco_plus", "scenes"])
    options = parser.parse_args()
    keep_memory()
    found = worlds(options.data, options.out)
    for name in options.sets:
        for seed in range(options.seeds):
            world = found[name]
            argus = solved(world, name, options.out / "caches", seed)
            line = {"set": name, "seed": seed, **figures(look(argus, world))}
            print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)
            with (options.out / "flags.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
