"""Exported graphs against the Argus they came from, at sizes they were not traced at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from argus_core.canvas import Placement
from argus_core.errors import ArgusError
from argus_core.export.parts import IMAGE, Parts, needs_of
from argus_core.model import Composition
from argus_core.model.composition import run_head
from argus_core.model.embeddings import PassEmbeddings
from argus_core.tasks.correspond import Described
from argus_core.tasks.detect import Detections
from argus_core.tokens import PlacedTokens
from argus_core.tokens.taps import EmbeddingLayers

SHAPES = ((1, 14, 14), (2, 10, 17), (3, 9, 6), (1, 24, 11), (2, 6, 21), (1, 18, 28))
"""Batches, rows and columns of cells that graphs are run at; they are traced at another."""
LIMIT = 1e-4
"""The largest difference that counts as rounding, as a share of an output's largest value."""
MISSED = 0.02
"""The share of detections that may win or lose against another by rounding."""
Answers = dict[str, Tensor]
Run = Callable[..., Mapping[str, Tensor]]


@dataclass
class Report:
    """The largest absolute difference of every output of every graph, by the shape of the images.

    Detections are compared in pairs that show the same object; ``missed`` is the share of those without a partner.
    """

    limit: float = LIMIT
    differences: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    def compare(self, graph: str, shape: str, expected: Mapping[str, Any], actual: Mapping[str, Tensor]) -> None:
        """Add the differences of one run; raises ArgusError for one beyond the limit."""
        for name, difference, allowed in _differences(expected, actual, self.limit):
            self.differences.setdefault(graph, {}).setdefault(name, {})[shape] = difference
            if not difference <= allowed:  # nan fails too
                raise ArgusError(
                    f"output {name!r} of the exported graph {graph!r} differs by {difference:.3g} at {shape} "
                    f"(batch x height x width), which is more than {allowed:.3g}: do not use these files"
                )

    def largest(self) -> dict[str, dict[str, float]]:
        """The worst shape of each output."""
        return {
            graph: {name: max(shapes.values()) for name, shapes in outputs.items()}
            for graph, outputs in self.differences.items()
        }


@torch.no_grad()
def check_graphs(
    argus: Composition, parts: Parts, graphs: Mapping[str, Run], limit: float = LIMIT, shapes: Sequence[Any] = SHAPES
) -> Report:
    """Run every graph at every shape and compare; ``graphs`` are called with the inputs by name."""
    report = Report(limit)
    for images, extent in _cases(parts.unit, shapes):
        shape = "x".join(str(n) for n in (len(images), *images.shape[2:]))
        expected = _eager(argus, images, extent, parts.embedding)
        tokens = graphs["backbone"](images=images, extent=extent)
        report.compare("backbone", shape, expected["backbone"], tokens)
        for name in parts.heads:
            part = parts.parts[f"head_{name}"]
            answers = graphs[f"head_{name}"](**{key: tokens[key] for key in part.inputs})
            report.compare(f"head_{name}", shape, expected[name], answers)
            if f"match_{name}" in graphs:
                _compare_matching(report, name, shape, expected[name], extent, graphs[f"match_{name}"])
        together = graphs["argus"](images=images, extent=extent)
        for name in parts.heads:
            answers = {key: together[f"{name}_{key}"] for key in parts.parts[f"head_{name}"].outputs}
            report.compare(f"argus/{name}", shape, expected[name], answers)
    return report


def _cases(unit: int, shapes: Sequence[tuple[int, int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Random bytes, the last image of each batch ending before its canvas does."""
    generator = torch.Generator().manual_seed(0)
    for batch, rows, columns in shapes:
        height, width = rows * unit, columns * unit
        images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)
        extent = torch.tensor([[height, width]] * batch)
        extent[-1] = torch.tensor([height - unit // 3, width * 2 // 3])
        yield images, extent


def _eager(
    argus: Composition, images: Tensor, extent: Tensor, embedding: EmbeddingLayers | None
) -> dict[str, dict[str, Any]]:
    """The answers of the Argus itself, by the names of the graphs' outputs."""
    tokens = argus.backbone.encode(images.permute(0, 2, 3, 1), extent, needs_of(argus, embedding))
    maps = {f"map_{layer}": value for layer, value in tokens.maps.items()}
    prefix = {f"prefix_{layer}": value for layer, value in tokens.prefix.items()}
    heads = {name: _stacked(run_head(argus.head(name), tokens)) for name in argus.heads}
    if embedding is not None:
        canvas = Placement(tokens.size, tokens.size, (1.0, 1.0))
        found = PassEmbeddings(PlacedTokens(tokens, [canvas] * len(images)), embedding)
        heads[IMAGE] = {"embedding": torch.from_numpy(found.images)}
        for answers in (heads[name] for name in heads if "detections" in heads[name]):
            boxes = [each.boxes.double().numpy() for each in answers["detections"]]
            answers["embeddings"] = [torch.from_numpy(found.boxes(n, own)) for n, own in enumerate(boxes)]
    return {"backbone": {**maps, **prefix}, **heads}


def _stacked(predictions: Sequence[Any]) -> dict[str, Any]:
    """The tensors of a batch's predictions, by field; detections and descriptions as they are."""
    if isinstance(predictions[0], Detections):
        return {"detections": predictions}
    if isinstance(predictions[0], Described):
        return {"descriptors": torch.stack([prediction.maps for prediction in predictions]), "described": predictions}
    keys = [key for key, value in vars(predictions[0]).items() if isinstance(value, Tensor)]
    return {key: torch.stack([getattr(prediction, key) for prediction in predictions]) for key in keys}


def _differences(
    expected: Mapping[str, Any], actual: Mapping[str, Tensor], limit: float
) -> Iterator[tuple[str, float, float]]:
    """Name, largest absolute difference and allowed difference of every output."""
    if "detections" in expected:
        yield from _of_detections(expected["detections"], expected.get("embeddings"), actual, limit)
    for name, value in expected.items():
        if isinstance(value, Tensor):
            yield name, _apart(value, actual[name]), limit * max(1.0, float(value.abs().max()))


def _apart(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float((a.double() - b.double()).abs().max()) if a.numel() else 0.0


def _of_detections(
    expected: Sequence[Detections], vectors: Sequence[Tensor] | None, actual: Mapping[str, Tensor], limit: float
) -> Iterator[tuple[str, float, float]]:
    """Boxes, scores and embeddings of pairs of one class, and the share of detections that have no partner."""
    boxes, scores, apart, alone, total = 0.0, 0.0, 0.0, 0, 0
    for index, eager in enumerate(expected):
        count = int(actual["count"][index])
        exported = Detections(*(actual[key][index, :count] for key in ("boxes", "scores", "labels")))
        ours, theirs = _pairs(eager, exported, limit)
        boxes = max(boxes, _apart(eager.boxes[ours], exported.boxes[theirs]))
        scores = max(scores, _apart(eager.scores[ours], exported.scores[theirs]))
        if vectors is not None:
            apart = max(apart, _apart(vectors[index][ours], actual["embeddings"][index, theirs]))
        alone += max(len(eager.scores), count) - len(ours)
        total += max(len(eager.scores), count)
    reach = max((float(eager.boxes.max()) for eager in expected if len(eager.boxes)), default=1.0)
    yield "boxes", boxes, limit * reach
    yield "scores", scores, limit
    if vectors is not None:
        yield "embeddings", apart, limit
    yield "missed", alone / max(1, total), MISSED


def _pairs(first: Detections, second: Detections, limit: float) -> tuple[Tensor, Tensor]:
    """The indices in both of detections that show the same object."""
    if not len(first.scores) or not len(second.scores):
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    alike = (first.labels[:, None] == second.labels) & ((first.scores[:, None] - second.scores).abs() <= limit)
    overlap, partner = torch.where(alike, box_iou(first.boxes, second.boxes), 0.0).max(dim=1)
    paired = (overlap > 0.99).nonzero()[:, 0]
    return paired, partner[paired]


def _compare_matching(
    report: Report, name: str, shape: str, expected: Mapping[str, Any], extent: Tensor, graph: Run
) -> None:
    """Compare the cosines of matches of the first image's points in the last image, and those at the matched places.

    The places themselves are not compared: neighbouring pixels may be alike up to rounding.
    """
    first, last = expected["described"][0], expected["described"][-1]
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(1)) * extent[0].flip(0)
    _, cosines = first._find(last, points.double())
    matched = graph(first=first.maps, second=last.maps, points=points, extents=extent[[0, -1]])
    queries = first.enlarged.at(points.double() * first._fine)
    places = last.enlarged.at(matched["matches"].double() * last._fine)
    expected = {"scores": cosines, "matches": cosines}
    actual = {"scores": matched["scores"], "matches": torch.cosine_similarity(queries, places)}
    report.compare(f"match_{name}", shape, expected, actual)
