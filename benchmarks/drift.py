"""What other precisions and engines change of the answers and scores of trained heads, on real validation data."""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torchvision.ops import box_iou

from argus_core import Argus, Canvas, Correspond, build_head
from argus_core.data import Split
from argus_core.export.folder import KEY
from argus_core.export.onnx import open_graph
from argus_core.head import Head
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.tasks.classify import Classes
from argus_core.tasks.correspond import Described, Search
from argus_core.tasks.depth import DepthMaps
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import ClassMaps

Look = Callable[[Tensor, Tensor], dict[str, list[Any]]]
"""Canvases (B, H, W, 3) and extents (B, 2) to every head's predictions in canvas pixels."""

SCORES = {"classify": "top1", "segment": "mIoU", "depth": "rmse", "detect": "AP", "correspond": "PCK@0.1"}
EXACT = "float32"


def ways(argus: Argus, folder: Path) -> dict[str, Look]:
    """The Argus as it is, and changed in every way."""
    argus.save(folder / "bf16", variant="bf16_backbone")
    argus.export_onnx(folder / "onnx", verify=False)
    changed = {
        EXACT: argus,
        "bf16_backbone file": Argus.load(folder / "bf16", variant="bf16_backbone"),
        "int8 weights": copy.deepcopy(argus).quantize_int8(),
        "OpenVINO float32": copy.deepcopy(argus).compile("openvino"),
        "OpenVINO int8": copy.deepcopy(argus).compile("openvino", int8=True),
    }
    return {
        **{name: partial(ask, one) for name, one in changed.items()},
        "ONNX Runtime": graphs(argus, folder / "onnx"),
    }


def ask(argus: Argus, canvases: Tensor, extent: Tensor) -> dict[str, list[Any]]:
    """PyTorch's heads over whatever runs the backbone."""
    return argus.run_heads(argus.backbone.encode(canvases, extent, argus.needs))


def graphs(argus: Argus, folder: Path) -> Look:
    """The ONNX graph of the backbone and those of the heads, their outputs read as their metadata says."""
    backbone = open_graph(folder / "backbone.onnx")
    heads = {name: open_graph(folder / f"head_{name}.onnx") for name in argus.heads}
    sessions = {name: onnxruntime.InferenceSession(str(folder / f"head_{name}.onnx")) for name in argus.heads}
    records = {name: json.loads(one.get_modelmeta().custom_metadata_map[KEY]) for name, one in sessions.items()}

    def look(canvases: Tensor, extent: Tensor) -> dict[str, list[Any]]:
        tokens = backbone(images=canvases.permute(0, 3, 1, 2), extent=extent)
        answers: dict[str, list[Any]] = {}
        for name, run in heads.items():
            found = run(**{key: tokens[key] for key in records[name]["inputs"]})
            strides = [value["stride"] for value in records[name]["outputs"].values() if "stride" in value]
            images = ({key: value[n] for key, value in found.items()} for n in range(len(canvases)))
            answers[name] = [
                read(argus.head(name), values, strides, tuple(ends), tuple(canvases.shape[1:3]))
                for values, ends in zip(images, extent.tolist(), strict=True)
            ]
        return answers

    return look


def read(head: Head, values: dict[str, Tensor], strides: list[int], extent: Any, canvas: Any) -> Any:
    """One image's answers of a graph as the prediction they stand for."""
    if head.task.name == "classify":
        return Classes(values["scores"])
    if head.task.name == "segment":
        return ClassMaps(values["logits"], *strides)
    if head.task.name == "depth":
        return DepthMaps(values["depth"], values["spread"], strides[0])
    if head.task.name == "detect":
        return Detections(*(values[key][: values["count"]] for key in ("boxes", "scores", "labels")))
    search = head.search
    assert isinstance(search, Search)
    return Described(values["descriptors"], strides[0], extent, canvas, search)


def agreement(task: str, exact: Any, other: Any) -> float:
    """How alike two predictions of an image are: a share, a cosine, or for depth a mean relative difference."""
    if task == "classify":
        return float(exact.scores.argmax() == other.scores.argmax())
    if task == "segment":
        return float((exact.labels == other.labels).float().mean())
    if task == "depth":
        return float(((other.depth - exact.depth).abs() / exact.depth).mean())
    if task == "detect":
        return partners(exact, other)
    rows, columns = (-(-end // exact.stride) for end in exact.extent)
    cosines = torch.cosine_similarity(exact.maps, other.maps, dim=0)
    return float(cosines[:rows, :columns].mean())


def partners(exact: Detections, other: Detections, score: float = 0.3) -> float:
    """The share of both sides' detections whose class the other side found there too; nan if both are empty."""
    kept, there = exact.scores >= score, other.scores >= score
    if not kept.any() or not there.any():
        return 0.0 if kept.any() or there.any() else float("nan")
    same = box_iou(exact.boxes[kept], other.boxes[there]) > 0.9
    same &= exact.labels[kept][:, None] == other.labels[there]
    return float(torch.cat([same.any(dim=0), same.any(dim=1)]).float().mean())


def drift(names: Sequence[str], argus: Argus, looks: dict[str, Look], split: Split, limit: int) -> list[str]:
    """A row of the table for every one of some heads that share data and canvas."""
    canvas, task = argus.canvas_of(names[0]), argus.head(names[0]).task.name
    samples = [*enumerate(split.samples(task))]
    samples = samples[:: max(1, len(samples) // limit)][:limit] if limit else samples
    metrics = {(way, name): argus.head(name).task.metric() for way in looks for name in names}
    alike: dict[tuple[str, str], list[float]] = {key: [] for key in metrics}

    @lru_cache(maxsize=32)  # pairs ask for images again
    def seen(index: int) -> dict[str, dict[str, Any]]:
        rendered, place = canvas.render(split.read(index))
        inputs = torch.from_numpy(rendered)[None], torch.tensor([place.extent])
        found = {way: look(*inputs) for way, look in looks.items()}
        return {w: {n: argus.head(n).task.merge(of[n], [place]) for n in names} for w, of in found.items()}

    for number, members in samples:
        images = [seen(index) for index in members]
        for (way, name), metric in metrics.items():
            found = [image[way][name] for image in images]
            solves = argus.head(name).task.name
            truth = split.truth(number, solves)
            metric.update(f"{number}", found[0] if len(found) == 1 else tuple(found), truth)
            alike[way, name].append(agreement(solves, images[0][EXACT][name], found[0]))
    return [row(name, argus.head(name).task.name, len(samples), [*looks], metrics, alike) for name in names]


def row(name: str, task: str, count: int, looks: Iterable[str], metrics: Any, alike: Any) -> str:
    """Agreement and change of score of every way."""
    scores = {way: metrics[way, name].compute() for way in looks}
    key = SCORES[task] if SCORES[task] in scores[EXACT] else metrics[EXACT, name].primary
    cells = [f"{np.nanmean(alike[way, name]):.5f}, {scores[way][key] - scores[EXACT][key]:+.5f}" for way in scores]
    return f"| {name} ({count}) | {key} {scores[EXACT][key]:.4f} | " + " | ".join(cells[1:]) + " |"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trained runs on one backbone")
    parser.add_argument("--pairs", help="a data set of pairs whose test split matching without training is tried on")
    parser.add_argument("--samples", type=int, default=0, help="of each split, evenly spread; 0 is all")
    options = parser.parse_args()
    argus = Argus.from_runs(options.runs)
    groups: dict[tuple[str, str, Canvas], list[str]] = {}
    for name in argus.heads:
        spec = argus.head(name).record["data"]["spec"]
        groups.setdefault((spec, "val", argus.canvas_of(name)), []).append(name)
    if options.pairs:
        match = build_head("correspond.match", argus.backbone.info, Correspond())
        match.canvas = Canvas(256)
        argus.add("match", match)
        groups[options.pairs, "test", Canvas(256)] = ["match"]
    with tempfile.TemporaryDirectory() as folder:
        looks = ways(argus, Path(folder))
        print("| head (samples) | float32 | " + " | ".join([*looks][1:]) + " |\n" + "|---" * (len(looks) + 1) + "|")
        for (spec, part, _), names in groups.items():
            split = split_of(open_data(spec, load_plugins()), part)
            print("\n".join(drift(names, argus, looks, split, options.samples)), flush=True)


if __name__ == "__main__":
    main()
