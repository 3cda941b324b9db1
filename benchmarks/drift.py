"""How other precisions and engines change the predictions and scores of trained heads, on real validation data."""

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

from argus_core import Argus, Canvas, Correspond, build_head
from argus_core.data import Split
from argus_core.export.agreement import agreement
from argus_core.export.folder import KEY
from argus_core.export.int8 import EACH
from argus_core.export.onnx import open_graph
from argus_core.head import Head
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import load_plugins
from argus_core.tasks.classify import Classes
from argus_core.tasks.correspond import Described, Search
from argus_core.tasks.depth import DepthMaps
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import ClassMaps

Predictor = Callable[[Tensor, Tensor], dict[str, list[Any]]]
"""Canvases (B, H, W, 3) and extents (B, 2) to every head's predictions in canvas pixels."""

SCORES = {"classify": "top1", "segment": "mIoU", "depth": "rmse", "detect": "AP", "correspond": "PCK@0.1"}
EXACT = "float32"


def variants(argus: Argus, folder: Path, images: Sequence[Any]) -> dict[str, Predictor]:
    """The Argus in float32, and with every other precision and engine."""
    argus.save(folder / "bf16", variant="bf16_backbone")
    argus.export_onnx(folder / "onnx", verify=False)
    arguses = {
        EXACT: argus,
        "bf16_backbone file": Argus.load(folder / "bf16", variant="bf16_backbone"),
        "int8 weights": copy.deepcopy(argus).quantize_int8(),
        "OpenVINO float32": copy.deepcopy(argus).compile("openvino"),
        "OpenVINO bf16": copy.deepcopy(argus).compile("openvino", "bf16"),
        "OpenVINO int8": copy.deepcopy(argus).compile("openvino", "int8", images),
    }
    return {
        **{name: partial(run_heads, variant) for name, variant in arguses.items()},
        "ONNX Runtime": onnx_predictor(argus, folder / "onnx"),
    }


def calibration(specs: Sequence[str]) -> list[Any]:
    """Training images of all data sets, in equal shares, to calibrate int8 on."""
    images = []
    for spec in specs:
        split = split_of(open_data(spec, load_plugins()), "train")
        share = min(len(split), 2 * EACH // len(specs))
        images += [split.read(number * len(split) // share) for number in range(share)]
    return images


def run_heads(argus: Argus, canvases: Tensor, extent: Tensor) -> dict[str, list[Any]]:
    """The heads in PyTorch on the tokens of any engine."""
    return argus.run_heads(argus.backbone.encode(canvases, extent, argus.needs))


def onnx_predictor(argus: Argus, folder: Path) -> Predictor:
    """The ONNX graphs of the backbone and the heads, with outputs interpreted by their metadata."""
    backbone = open_graph(folder / "backbone.onnx")
    heads = {name: open_graph(folder / f"head_{name}.onnx") for name in argus.heads}
    sessions = {name: onnxruntime.InferenceSession(str(folder / f"head_{name}.onnx")) for name in argus.heads}
    records = {name: json.loads(session.get_modelmeta().custom_metadata_map[KEY]) for name, session in sessions.items()}

    def predict_graphs(canvases: Tensor, extent: Tensor) -> dict[str, list[Any]]:
        tokens = backbone(images=canvases.permute(0, 3, 1, 2), extent=extent)
        predictions: dict[str, list[Any]] = {}
        for name, run in heads.items():
            outputs = run(**{key: tokens[key] for key in records[name]["inputs"]})
            strides = [value["stride"] for value in records[name]["outputs"].values() if "stride" in value]
            images = ({key: value[n] for key, value in outputs.items()} for n in range(len(canvases)))
            predictions[name] = [
                to_prediction(argus.head(name), values, strides, tuple(ends), tuple(canvases.shape[1:3]))
                for values, ends in zip(images, extent.tolist(), strict=True)
            ]
        return predictions

    return predict_graphs


def to_prediction(head: Head, values: dict[str, Tensor], strides: list[int], extent: Any, canvas: Any) -> Any:
    """The prediction of one image from the outputs of a graph."""
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


def drift(names: Sequence[str], argus: Argus, predictors: dict[str, Predictor], split: Split, limit: int) -> list[str]:
    """A row of the table for each of several heads that share data and canvas."""
    canvas, task = argus.canvas_of(names[0]), argus.head(names[0]).task.name
    samples = [*enumerate(split.samples(task))]
    samples = samples[:: max(1, len(samples) // limit)][:limit] if limit else samples
    metrics = {(variant, name): argus.head(name).task.metric() for variant in predictors for name in names}
    agreements: dict[tuple[str, str], list[float]] = {key: [] for key in metrics}

    @lru_cache(maxsize=32)  # images are members of several pairs
    def predictions_of(index: int) -> dict[str, dict[str, Any]]:
        rendered, place = canvas.render(split.read(index))
        inputs = torch.from_numpy(rendered)[None], torch.tensor([place.extent])
        outputs = {variant: predict(*inputs) for variant, predict in predictors.items()}
        return {v: {n: argus.head(n).task.merge(heads[n], [place]) for n in names} for v, heads in outputs.items()}

    for number, members in samples:
        images = [predictions_of(index) for index in members]
        for (variant, name), metric in metrics.items():
            predictions = [image[variant][name] for image in images]
            solves = argus.head(name).task.name
            truth = split.truth(number, solves)
            metric.update(f"{number}", predictions[0] if len(predictions) == 1 else tuple(predictions), truth)
            agreements[variant, name].append(agreement(images[0][EXACT][name], predictions[0]))
    return [row(name, argus.head(name).task.name, len(samples), [*predictors], metrics, agreements) for name in names]


def row(name: str, task: str, count: int, variants: Iterable[str], metrics: Any, agreements: Any) -> str:
    """Agreement and change of score of every variant."""
    scores = {variant: metrics[variant, name].compute() for variant in variants}
    key = SCORES[task] if SCORES[task] in scores[EXACT] else metrics[EXACT, name].primary
    cells = [
        f"{np.nanmean(agreements[variant, name]):.5f}, {values[key] - scores[EXACT][key]:+.5f}"
        for variant, values in scores.items()
    ]
    return f"| {name} ({count}) | {key} {scores[EXACT][key]:.4f} | " + " | ".join(cells[1:]) + " |"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trained runs on one backbone")
    parser.add_argument("--pairs", help="a data set of pairs, whose test split evaluates matching without training")
    parser.add_argument("--samples", type=int, default=0, help="samples of each split, evenly spaced; 0 is all")
    options = parser.parse_args()
    argus = Argus.from_runs(options.runs)
    groups: dict[tuple[str, str, Canvas], list[str]] = {}
    for name in argus.heads:
        spec = argus.head(name).record["data"]["spec"]
        groups.setdefault((spec, "val", argus.canvas_of(name)), []).append(name)
    specs = [spec for spec, _, _ in groups]
    if options.pairs:
        match = build_head("correspond.match", argus.backbone.info, Correspond())
        match.canvas = Canvas(256)
        argus.add("match", match)
        groups[options.pairs, "test", Canvas(256)] = ["match"]
    with tempfile.TemporaryDirectory() as folder:
        predictors = variants(argus, Path(folder), calibration(specs))
        print(
            "| head (samples) | float32 | "
            + " | ".join([*predictors][1:])
            + " |\n"
            + "|---" * (len(predictors) + 1)
            + "|"
        )
        for (spec, part, _), names in groups.items():
            split = split_of(open_data(spec, load_plugins()), part)
            print("\n".join(drift(names, argus, predictors, split, options.samples)), flush=True)


if __name__ == "__main__":
    main()
