"""Scores of a backbone in other precisions on three data sets, by heads in closed form that were made in float32.

python int8_scores.py DATA --backbone timm:vit_tiny_patch16_224 --weights FILE    # DATA: imagenette160, camvid, nyuv2
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from argus_core import Argus, Backbone, Canvas, Correspond, Head, Needs, build_head, load_backbone
from argus_core.export.int8 import quantize
from argus_core.export.openvino import OpenVINONetwork, encoder

NEEDS = Needs((-1,), maps=True, cls=True)
PRECISIONS = ("fp32", "bf16", "int8")
IGNORED = 255
V = TypeVar("V")
SIZE = (256, 320)
"""Height and width of a canvas that photographs of about that shape are stretched to."""
Sample = tuple[Path, Tensor]
"""An image, and its class or what its cells are."""


class Data(NamedTuple):
    """Training and validation samples on a canvas; ``score`` of training tokens and truth, and those to score."""

    name: str
    canvas: Canvas
    train: Sequence[Sample]
    val: Sequence[Sample]
    score: Callable[[Tensor, Tensor, Tensor, Tensor], float]


def classes(root: Path, limit: int, side: int = 224) -> Data:
    """Imagenette: nearest neighbours by CLS, top-1."""
    kinds = sorted(path.name for path in (root / "imagenette160/train").iterdir())
    splits = []
    for split in ("train", "val"):
        found = [(path, torch.tensor([n])) for n, k in enumerate(kinds) for path in files(root, split, k)]
        splits.append(spaced(found, limit))
    return Data("imagenette160, top-1 of kNN", Canvas(side), *splits, nearest)


def files(root: Path, split: str, kind: str) -> list[Path]:
    """The images of one class."""
    return sorted((root / "imagenette160" / split / kind).iterdir())


def cells(name: str, layer: str, root: Path, stride: int, limit: int) -> list[list[Sample]]:
    """Images on a canvas of ``SIZE`` with the label at the centre of each cell, in training and validation."""
    splits = []
    for split in ("train", "val"):
        truths = {path.stem: path for path in (root / name / layer / split).iterdir()}
        images = [path for path in sorted((root / name / "images" / split).iterdir()) if path.stem in truths]
        splits.append([(path, resized(truths[path.stem], stride)) for path in spaced(images, limit)])
    return splits


def resized(path: Path, stride: int) -> Tensor:
    """A mask or depth map, one value a cell."""
    picture = Image.open(path).resize((SIZE[1] // stride, SIZE[0] // stride), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(picture).astype(np.int64)).flatten()


def spaced(values: Sequence[V], limit: int) -> list[V]:
    """At most ``limit`` of them, evenly spaced."""
    count = min(limit, len(values))
    return [values[n * len(values) // count] for n in range(count)]


def nearest(bank: Tensor, labels: Tensor, tokens: Tensor, truth: Tensor) -> float:
    """Top-1 of ten neighbours by cosine."""
    votes = F.one_hot(labels[(F.normalize(tokens) @ F.normalize(bank).T).topk(10).indices])
    return float((votes.sum(1).argmax(1) == truth).float().mean())


def mean_iou(tokens: Tensor, labels: Tensor, others: Tensor, truth: Tensor) -> float:
    """MIoU over cells of a linear map to classes."""
    known, real = labels != IGNORED, truth != IGNORED
    count = int(labels[known].max()) + 1
    found = (linear(others[real]) @ solve(linear(tokens[known]), F.one_hot(labels[known], count).float())).argmax(1)
    table = torch.bincount(truth[real] * count + found, minlength=count * count).reshape(count, count).float()
    union = table.sum(0) + table.sum(1) - table.diag()
    return float((table.diag() / union)[table.sum(1) > 0].mean())


def delta1(tokens: Tensor, depth: Tensor, others: Tensor, truth: Tensor) -> float:
    """The share of cells whose depth by a linear map is within 1.25 of the true one."""
    known, real = depth > 0, truth > 0
    logs = linear(others[real]) @ solve(linear(tokens[known]), depth[known].float().log()[:, None])
    return float(((logs[:, 0] - truth[real].float().log()).abs() < np.log(1.25)).float().mean())


def linear(tokens: Tensor) -> Tensor:
    """Tokens with a constant."""
    return F.pad(tokens, (0, 1), value=1.0)


def solve(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Ridge regression."""
    gram = (inputs.T @ inputs).double()
    gram.diagonal().add_(1e-3 * gram.diagonal().mean())
    return torch.linalg.solve(gram, (inputs.T @ outputs).double()).float()


def encoded(argus: Argus, samples: Sequence[Sample], whole: bool) -> tuple[Tensor, Tensor]:
    """CLS of each image, or every cell, after the final norm; with the truth."""
    tokens = [*_tokens(argus, samples, whole)]
    return torch.cat(tokens), torch.cat([truth for _, truth in samples])


def _tokens(argus: Argus, samples: Sequence[Sample], whole: bool) -> Iterator[Tensor]:
    for first in range(0, len(samples), 8):
        images = [path for path, _ in samples[first : first + 8]]
        features = argus.tokens(images, needs=NEEDS).tokens.features(NEEDS)
        yield features.cls[0] if whole else features.map.permute(0, 2, 3, 1).flatten(0, 2)


def head(backbone: Backbone) -> Head:
    """What the built-in check compares, beside the tokens."""
    return build_head("correspond.match", backbone.info, Correspond())


def scores(backbone: Backbone, graph: Any, data: Data, whole: bool) -> Iterator[str]:
    """How far int8 is off, and the score in every precision."""
    argus = Argus(backbone, {"match": head(backbone)}, data.canvas)
    backbone._compiled = None
    train, found = encoded(argus, data.train, whole), []
    int8, drift = quantize(argus, [path for path, _ in data.train], graph)
    yield str(drift)
    for precision in PRECISIONS:
        backbone._compiled = OpenVINONetwork(backbone, precision, int8 if precision == "int8" else graph)
        found.append(data.score(*train, *encoded(argus, data.val, whole)))
    changes = ", ".join(f"{p} {100 * (s - found[0]):+.2f}" for p, s in zip(PRECISIONS[1:], found[1:], strict=True))
    yield f"{data.name} ({len(data.val)} images): float32 {100 * found[0]:.2f}, points: {changes}"


def main() -> None:
    """Print a line per data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=int, default=500, help="images of each split at most")
    options = parser.parse_args()
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)} if options.weights else {}
    backbone = load_backbone(options.backbone, options.weights, **half)
    stride, street = backbone.info.strides[-1], Canvas(*SIZE, fit="stretch")
    room = cells("nyuv2", "depth", options.data, stride, options.limit)
    roads = cells("camvid", "masks", options.data, stride, options.limit)
    sets = [
        (classes(options.data, options.limit), True),
        (Data("camvid, mIoU of cells", street, *roads, mean_iou), False),
        (Data("nyuv2, delta1 of cells", street, *room, delta1), False),
    ]
    graph = encoder(backbone, NEEDS | head(backbone).needs.resolve(backbone.info))
    for data, whole in sets:
        for line in scores(backbone, graph, data, whole):
            print(line, flush=True)


if __name__ == "__main__":
    main()
