"""Finding an object again in other views of its scene: embeddings of one pass against CLS of a crop per object.

Every scene has a query view and several others, which are the gallery; an object is found if its nearest neighbour
among the objects of all scenes' other views is itself. Boxes are the true ones: only vectors are compared. ``--data``
also asks, of a data set with boxes, how often the nearest object of other images is of the same class.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from argus_core import Argus, Canvas, load_backbone
from argus_core.model.embeddings import PassEmbeddings
from argus_core.plugins.data_spec import open_data
from argus_core.tokens import PlacedTokens
from argus_data.procedural.render import SOLID, look, photograph
from argus_data.procedural.scene import make_scene
from argus_data.procedural.world import moved_camera
from argus_data.scenes.split import SceneSplit
from timing import compare, show

Array = npt.NDArray[np.float64]
Embed = Callable[["View"], Array]
ROUNDS = 5
SMALL = 32**2
"""Square pixels of the largest objects of photographs that are left out."""


@dataclass(frozen=True)
class View:
    """A picture (h, w, 3), the boxes (N, 4) of its objects, and which object each is."""

    image: npt.NDArray[np.uint8]
    boxes: Array
    objects: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Named:
    """Vectors (N, C) of objects."""

    objects: list[tuple[int, int]]
    vectors: Array


def make_views(scenes: int, size: int, others: int) -> tuple[list[View], list[View]]:
    """The query view of every scene, and its ``others``."""
    split = SceneSplit("val", scenes, (size, size), seed=0)
    queries, gallery = [], []
    for index in range(scenes):
        world, rng = split._world(index), split._rng(index, purpose=1)
        cameras = [world.camera, *(moved_camera(rng, world.camera) for _ in range(others))]
        for camera in cameras:
            scene, owner = make_scene(world, camera), look(world, camera).owner
            solids = [int(owner[scene.instances == 1 + row][0]) - SOLID for row in range(len(scene.boxes))]
            view = View(photograph(world, camera), scene.boxes, tuple((index, solid) for solid in solids))
            (queries if camera is cameras[0] else gallery).append(view)
    return queries, gallery


def crops(view: View) -> list[npt.NDArray[np.uint8]]:
    """The pixels inside each box."""
    return [view.image[int(y1) : int(y2), int(x1) : int(x2)] for x1, y1, x2, y2 in view.boxes]


def score(asked: Named, known: Named, centred: bool) -> tuple[float, float, int]:
    """Recall at 1, mean average precision, and the number of queries that have an answer."""
    questions, answers = asked.vectors, known.vectors
    if centred:
        mean = answers.mean(axis=0)
        questions, answers = unit(questions - mean), unit(answers - mean)
    order = np.argsort(-questions @ answers.T, axis=1)
    pairs = zip(asked.objects, order, strict=True)
    hits = np.array([[known.objects[place] == wanted for place in row] for wanted, row in pairs])
    hits = hits[hits.any(axis=1)]
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return hits[:, 0].mean(), ((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean(), len(hits)


def collect(embed: Embed, views: Sequence[View]) -> Named:
    """The vectors of all objects."""
    views = [view for view in views if len(view.boxes)]
    objects = [name for view in views for name in view.objects]
    return Named(objects, np.concatenate([embed(view) for view in views]).astype(np.float64))


def unit(vectors: Array) -> Array:
    """Vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Print a line per way and layer, and the times of both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--layers", default="-1", help="comma-separated")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--others", type=int, default=3, help="other views of each scene")
    parser.add_argument("--size", type=int, default=320, help="of pictures and their canvas")
    parser.add_argument("--crop", type=int, default=224, help="canvas of a crop")
    parser.add_argument("--data", default="", help="data spec of photographs with boxes, such as coco:PATH")
    parser.add_argument("--images", type=int, default=110, help="of these photographs")
    options = parser.parse_args()
    backbone = load_backbone(options.backbone, options.weights)
    whole, part = (Argus(backbone, canvas=Canvas(size)) for size in (options.size, options.crop))
    queries, gallery = make_views(options.scenes, options.size, options.others)
    ways: dict[str, Embed] = {
        "objects of one pass": lambda view: whole.embed(view.image, view.boxes),
        "mean of a crop's map": lambda view: np.concatenate(
            [part.embed(c, [[0, 0, c.shape[1], c.shape[0]]]) for c in crops(view)]
        ),
        "CLS of a crop each": lambda view: part.embed(crops(view)),
    }
    objects = sum(len(view.boxes) for view in gallery)
    print(f"{options.backbone}, {options.size} px, crops at {options.crop} px, {objects} objects in the gallery")
    for layer in map(int, options.layers.split(",")):
        whole.embedding_layer = part.embedding_layer = layer
        for name, embed in ways.items():
            asked, known = collect(embed, queries), collect(embed, gallery)
            for centred in (False, True):
                recall, precision, number = score(asked, known, centred)
                said = f"{name}, layer {layer}{', mean removed' if centred else ''}"
                print(f"{said:<50} recall@1 {recall:.3f}  mAP {precision:.3f}  ({number} queries)", flush=True)
        if options.data:
            show_kinds(whole, options.data, options.images)
    whole.embedding_layer = part.embedding_layer = None
    show_times(whole, part, [view for view in gallery if len(view.boxes)][:10])


def show_kinds(argus: Argus, spec: str, images: int) -> None:
    """Print how often the nearest object of another image is of the same class, over all objects and by class."""
    split = open_data(spec)["train"]
    truths = [split.truth(index, "detect") for index in range(min(images, len(split)))]
    kept = [~truth.crowd & (truth.area > SMALL) for truth in truths]
    photos = [index for index, mask in enumerate(kept) if mask.any()]
    vectors = np.concatenate([argus.embed(split.read(n), truths[n].boxes[kept[n]]) for n in photos])
    labels = np.concatenate([truths[n].labels[kept[n]] for n in photos])
    owner = np.concatenate([np.full(kept[n].sum(), n) for n in photos])
    other = owner[:, None] != owner
    nearest = np.where(other, vectors @ vectors.T, -2).argmax(axis=1)
    known = (other & (labels[:, None] == labels)).any(axis=1)
    hit, kinds = labels[nearest][known] == labels[known], labels[known]
    by_class = np.mean([hit[kinds == kind].mean() for kind in np.unique(kinds)])
    said = f"kinds of {len(labels)} objects, layer {argus.embedding_layer}"
    print(f"{said:<50} same class {hit.mean():.3f}, mean over classes {by_class:.3f}", flush=True)


def show_times(whole: Argus, part: Argus, views: Sequence[View]) -> None:
    """Print what vectors of objects cost beside the pass that finds them: pooled from its tokens, or of a crop each."""
    layers = whole.embedding_layers

    def look(view: View) -> PlacedTokens:
        return whole.tokens([view.image], whole.canvas, layers.needs)

    seen = [look(view) for view in views]
    number = sum(len(view.boxes) for view in views)
    ways: dict[str, Callable[[], object]] = {
        "pooled": lambda: [PassEmbeddings(p, layers).boxes(0, v.boxes) for p, v in zip(seen, views, strict=True)],
        "a crop each": lambda: [part.embed(crops(view)) for view in views],
    }
    for name, work in ways.items():
        times = compare(work, lambda: [look(view) for view in views], ROUNDS)
        show(f"{number} objects, {name}, against the passes over their {len(views)} images", *times, "none")


if __name__ == "__main__":
    main()
