"""One look at an image: the answers of all heads, and the tokens for what is asked about it later."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from argus_core.argus import Argus
from argus_core.draw.features import Cells
from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError
from argus_core.model.composition import Pass, run_passes
from argus_core.serve.layers import Layer, layer_of
from argus_core.tasks import Result
from argus_core.tasks.correspond import Described
from argus_core.tasks.correspond.descriptors import Search
from argus_core.tokens import Needs, PlacedTokens

LEAST_SCORE = 0.05
"""The lowest score of a detection that the page gets, below which its threshold cannot go."""
TOP = 8
"""How many classes of an image are named."""
HEAT = Search(size=256)
"""Pixels of the longer side of a map of similarities."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {"detect": {"score_thresh": LEAST_SCORE}, "classify": {"top_k": TOP}}


@dataclass(frozen=True)
class Look:
    """What is kept of an image of ``size`` (height, width): tokens and descriptors, layers by head, results as JSON.

    ``described`` gives similarities and matches, ``by`` says what they are made of.
    """

    size: tuple[int, int]
    placed: PlacedTokens
    described: Described
    by: str
    layers: Mapping[str, Layer]
    results: bytes
    ms: float

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens, descriptors, maps and results."""
        tokens = self.placed.tokens
        tensors = [*tokens.maps.values(), *tokens.prefix.values(), self.described.maps]
        maps = sum(len(layer.planes) for layer in self.layers.values())
        enlarged = 4 * (self.described.search.size**2 + HEAT.size**2)
        return sum(tensor.nbytes for tensor in tensors) + maps + len(self.results) + enlarged

    @cached_property
    def heat(self) -> Described:
        """The descriptors at the resolution of a map of similarities."""
        return replace(self.described, search=HEAT)

    def answer(self) -> dict[str, Any]:
        """Plain JSON values of everything but maps."""
        strides = self.placed.tokens.info.strides
        return {
            "size": self.size,
            "ms": round(self.ms, 1),
            "similarBy": self.by,
            "tokens": [{"layer": layer, "stride": strides[layer]} for layer in sorted(self.placed.tokens.maps)],
            "heads": [{"name": name, **layer.values} for name, layer in self.layers.items()],
        }

    def cells(self, layer: int) -> Cells:
        """The tokens of one layer; raises ArgusError for one that is not kept."""
        tokens = self.placed.tokens
        if layer not in tokens.maps:
            raise ArgusError(f"the tokens of layer {layer} are not kept; there are those of {sorted(tokens.maps)}")
        maps = tokens.features(Needs((layer,))).map[0]
        return Cells.of(maps, tokens.info.strides[layer], self.placed.placements[0].extent)


@torch.no_grad()
def look(argus: Argus, image: Pixels) -> Look:
    """Encode an image once for each canvas, and ask all heads."""
    start = time.perf_counter()
    layer, main = argus.embedding_layers.objects, _main(argus)
    predictions: dict[str, Any] = {}
    for group in argus.passes():
        needs = group.needs | Needs((layer,)) if group == main else group.needs
        placed = argus.tokens([image], group.canvas, needs)
        heads = {name: argus.head(name) for name in group.heads}
        predictions |= run_passes(heads, [((0,), placed)])[0]
        if group == main:
            kept = placed.to("cpu")
    described, by = _described(predictions, kept, layer)
    results = _results(argus, predictions, image)
    layers = {name: layer_of(result) for name, result in results.items()}
    text = json.dumps({name: result.to_dict() for name, result in results.items()}, allow_nan=False)
    ms = 1e3 * (time.perf_counter() - start)
    return Look((image.shape[0], image.shape[1]), kept, described, by, layers, gzip.compress(text.encode(), 1), ms)


def _main(argus: Argus) -> Pass:
    """The pass whose tokens are kept: that of a head which matches points, or of a detector, or the first."""

    def rank(group: Pass) -> tuple[bool, bool]:
        tasks = {argus.head(name).task.name for name in group.heads}
        return "correspond" not in tasks, "detect" not in tasks

    return min(argus.passes(), key=rank)


def _described(predictions: Mapping[str, Any], placed: PlacedTokens, layer: int) -> tuple[Described, str]:
    """The descriptors of a head that matches points, else the tokens of a layer, and what they are in words."""
    for name, prediction in predictions.items():
        if isinstance(prediction, Described):
            return replace(prediction, device=None), f"the head {name}"
    (place,), tokens = placed.placements, placed.tokens
    maps, stride = tokens.features(Needs((layer,))).map[0], tokens.info.strides[layer]
    return Described(maps, stride, place.extent, place.canvas_size, Search(), place), f"tokens of layer {layer}"


def _results(argus: Argus, predictions: Mapping[str, Any], image: Pixels) -> dict[str, Result]:
    """The results of the heads that answer about one image, in their order."""
    tasks = {name: argus.head(name).task for name in argus.heads}
    return {
        name: task.result(predictions[name], image, **OPTIONS.get(task.name, {}))
        for name, task in tasks.items()
        if not isinstance(predictions[name], Described)
    }
