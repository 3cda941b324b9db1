"""Large images three ways: shrunk to the canvas, tile by tile with merged results, and tokens stitched into one grid.

Scenes of 2560 px hold many small objects; the heads of a run that was trained on scenes of normal size are asked the
same in each way, on the same tiles and in turn. An object counts as reported twice if two confident detections of its
class are on it, be it on the whole of it or on a part; "at border" are those of which one ends where a tile does. The
detector reports some objects twice by itself, as one large pass without any tiles shows, which not every backbone can
make. For example, with everything that the figures stand on:

    DATA=scenes:images=500,val=50,size=320
    arena cache --data $DATA --backbone lite0 --canvas 320 --layers 2,3,4 --out caches/tiles
    arena train --head fcos --head segment.linear --head depth.linear --data $DATA --cache caches/tiles \
        --set steps=900 --set batch=8 --set fcos.width=48 --set fcos.depth=1 --set fcos.pyramid=native --out runs/tiles
    python tiles.py --run runs/tiles --work scenes
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core import Argus
from argus_core.canvas import Canvas, Tiles
from argus_core.tasks.detect import Boxes, Detections
from argus_data.scenes import SceneSplit, open_scenes

Array = npt.NDArray[np.float64]
HEIGHT, WIDTH = 1440, 2560
CROWD = {"solids": 100, "shrink": 8}
WAYS = ("whole image", "one large pass", "merged results", "stitched tokens")
CONFIDENT = 0.3
"""The score of detections that are shown to a user by default."""
SLACK = 4.0
"""Pixels between the border of a tile and the end of a detection that is cut off by it."""
ON_IT = 0.5
"""A detection is on an object if it shares so much of the smaller of the two boxes."""
METRICS = ("AP", "AP_small", "AP_medium", "AP_large", "AR100", "mIoU", "abs_rel")


@dataclass
class Tally:
    """What one way gave so far: metrics by head, seconds by part, and objects that were reported twice."""

    metrics: dict[str, Any]
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    twice: int = 0
    at_border: int = 0


def ways(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The canvas of each of ``WAYS``, or its tiles."""
    tiling = {"tiles": options.tiles, "overlap": options.overlap}
    large = {"canvas": Canvas(HEIGHT, WIDTH)}
    return dict(zip(WAYS, ({}, large, {**tiling, "merge": "results"}, {**tiling, "merge": "tokens"}), strict=True))


def scenes(work: Path, count: int, seed: int) -> Iterator[tuple[str, npt.NDArray[np.uint8], dict[str, Any]]]:
    """Key, image and truth by task; rendered once, as that takes longer than everything else."""
    split = open_scenes(images=1, val=count, size=f"{HEIGHT}x{WIDTH}", seed=seed, **CROWD)["val"]  # type: ignore[arg-type]
    assert isinstance(split, SceneSplit)
    (work / str(seed)).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        file = work / str(seed) / f"{index:02d}.npz"
        if not file.exists():
            boxes = split.truth(index, "detect")
            maps = {task: split.truth(index, task) for task in ("segment", "depth")}
            split._truths.clear()
            parts = {"boxes": boxes.boxes, "labels": boxes.labels, "area": boxes.area}
            np.savez(file, image=split.read(index), **parts, **maps)
        saved = np.load(file)
        crowd = np.zeros(len(saved["labels"]), dtype=np.bool_)
        boxes = Boxes(saved["boxes"], saved["labels"], crowd, saved["area"])
        yield f"{seed}-{index}", saved["image"], {"detect": boxes, "segment": saved["segment"], "depth": saved["depth"]}


def borders(tiles: Tiles, cell: int) -> tuple[Array, Array]:
    """The x and the y at which some tile begins or ends, or stitched cells change their tile, inside the image."""
    canvas = (-(-HEIGHT // cell) * cell, -(-WIDTH // cell) * cell)
    cover = list(tiles.cover(canvas, (HEIGHT, WIDTH), cell))
    spans = (
        {(*tile.columns[:2], tile.columns.own.stop) for tile in cover},
        {(*tile.rows[:2], tile.rows.own.stop) for tile in cover},
    )
    lines = ({v for start, size, seam in axis for v in (start, start + size, seam)} for axis in spans)
    across, down = (
        np.array(sorted(v for v in axis if 0 < v < end)) for axis, end in zip(lines, (WIDTH, HEIGHT), strict=True)
    )
    return across, down


def cut(box: Array, whole: Array, lines: tuple[Array, Array]) -> bool:
    """Whether a box ends at a border that goes through the ``whole`` object."""
    for k, axis in enumerate(lines):
        through = axis[(axis > whole[k] + SLACK) & (axis < whole[k + 2] - SLACK)]
        if (np.abs(through[:, None] - box[[k, k + 2]]) <= SLACK).any():
            return True
    return False


def reported(truth: Boxes, found: Detections) -> list[list[Array]]:
    """The confident detections on each object; each is on one, that which it overlaps by the largest IoU."""
    sure = found.scores >= CONFIDENT
    counts: list[list[Array]] = [[] for _ in truth.labels]
    for box, label in zip(found.boxes[sure].double().numpy(), found.labels[sure].numpy(), strict=True):
        sides = np.minimum(truth.boxes[:, 2:], box[2:]) - np.maximum(truth.boxes[:, :2], box[:2])
        common = sides.clip(min=0).prod(axis=1)
        areas, own = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(axis=1), (box[2:] - box[:2]).prod()
        on_it = (truth.labels == label) & (common > ON_IT * np.minimum(areas, own))
        if on_it.any():
            counts[np.where(on_it, common / (areas + own - common), -1).argmax()].append(box)
    return counts


def ask(argus: Argus, image: npt.NDArray[np.uint8], how: Mapping[str, Any]) -> tuple[dict[str, Any], float, float]:
    """Predictions by head, seconds of rendering and backbone, and of heads and merging."""
    laps: dict[bool, float] = defaultdict(float)
    last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        laps[name == "backbone"] += now - last
        last = now

    argus.canvas = how.get("canvas")
    (predictions,) = argus.predict([image], lap=lap, **{key: value for key, value in how.items() if key != "canvas"})
    return predictions, laps[True], laps[False]


def measure(argus: Argus, options: argparse.Namespace) -> dict[str, Tally]:
    """Every scene in every way, in turn; interrupted, those that were done."""
    lines = borders(Tiles(options.tiles, overlap=options.overlap), max(argus.backbone.info.strides))
    heads = {name: argus.head(name) for name in argus.heads}
    tallies = {way: Tally({name: head.task.metric() for name, head in heads.items()}) for way in WAYS}
    with suppress(KeyboardInterrupt):
        for key, image, truth in chain(*(scenes(options.work, options.scenes, seed) for seed in range(options.seeds))):
            answers = {way: ask(argus, image, how) for way, how in ways(options).items()}
            for way, (predictions, backbone, rest) in answers.items():
                tally = tallies[way]
                tally.seconds["backbone"].append(backbone)
                tally.seconds["heads"].append(rest)
                for name, head in heads.items():
                    tally.metrics[name].update(key, predictions[name], truth[head.task.name])
                    if head.task.name == "detect":
                        count(tally, truth["detect"], predictions[name], lines)
            print(f"scene {key}: {len(truth['detect'].labels)} objects", file=sys.stderr)
    return tallies


def count(tally: Tally, truth: Boxes, found: Detections, lines: tuple[Array, Array]) -> None:
    """Add the objects that were reported more than once."""
    for whole, boxes in zip(truth.boxes, reported(truth, found), strict=True):
        tally.twice += len(boxes) > 1
        tally.at_border += len(boxes) > 1 and any(cut(box, whole, lines) for box in boxes)


def peak(options: argparse.Namespace, way: str) -> float:
    """MiB that a process of its own takes for one scene."""
    command = [sys.executable, __file__, "--run", options.run, "--work", options.work, "--memory", way]
    tiling = ["--tiles", options.tiles, "--overlap", options.overlap]
    done = subprocess.run([*map(str, [*command, *tiling])], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def show(tallies: Mapping[str, Tally], memory: Mapping[str, float]) -> None:
    """A row per way, and the ratio that the goal is about."""
    print(f"{'':16}" + "".join(f"{name:>10}" for name in (*METRICS, "twice", "at border", "backbone", "heads", "MiB")))
    for way, tally in tallies.items():
        scores: dict[str, float] = {}
        for metric in tally.metrics.values():
            scores |= metric.compute()
        backbone, heads = (float(np.median(tally.seconds[part])) for part in ("backbone", "heads"))
        cells = [f"{scores.get(name, float('nan')):.4f}" for name in METRICS]
        cells += [str(tally.twice), str(tally.at_border), f"{backbone:.2f} s", f"{heads:.2f} s"]
        print(f"{way:16}" + "".join(f"{cell:>10}" for cell in [*cells, f"{memory[way]:.0f}"]))
    pairs = zip(*(tallies[way].seconds["heads"] for way in ("stitched tokens", "merged results")), strict=True)
    ratio = float(np.median([ours / peer for ours, peer in pairs]))
    print(f"heads and merging, stitched against merged: ratio {ratio:.3f} (goal <= 0.7)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run with heads of detect, segment and depth")
    parser.add_argument("--work", type=Path, required=True, help="folder in which rendered scenes are kept")
    parser.add_argument("--scenes", type=int, default=24, help="of each seed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tiles", type=int, default=320, help="px of the image")
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--memory", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    argus = Argus.from_runs([options.run])
    if options.memory:
        _, image, _ = next(scenes(options.work, 1, 0))
        ask(argus, image, ways(options)[options.memory])
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        return
    memory = {way: peak(options, way) for way in WAYS}
    show(measure(argus, options), memory)


if __name__ == "__main__":
    main()
