"""One look at an image: the answers of all heads, and the tokens for what is asked about it later."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from argus_core.argus import Argus
from argus_core.canvas import Placement
from argus_core.draw.features import Cells
from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.composition import Pass, run_passes
from argus_core.model.flags import find_flags
from argus_core.model.shrunk import Shrunk
from argus_core.serve.layers import Layer, layer_of
from argus_core.tasks import Result, Task
from argus_core.tasks.correspond import Described
from argus_core.tasks.correspond.descriptors import Search
from argus_core.tokens import Needs, PlacedTokens

SIDE = 1280
"""Pixels that the longer side of a map has at most: more than canvases have, and all that a screen shows."""
LEAST_SCORE = 0.05
"""The lowest score of a detection that the page gets, below which its threshold cannot go."""
TOP = 8
"""How many classes of an image are named."""
HEAT = Search(size=256)
"""Pixels of the longer side of a map of similarities."""
CELLS = 400
"""Cells of the longer side of a layer that are shown at most."""
DENSE = ("segment", "depth")
"""Tasks that answer for every pixel."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {"detect": {"score_thresh": LEAST_SCORE}, "classify": {"top_k": TOP}}


class EncodedPass(NamedTuple):
    """A pass over an image, and the tokens that it gave, on the CPU."""

    group: Pass
    placed: PlacedTokens


@dataclass(frozen=True)
class Look:
    """What is kept of an image of ``size`` (height, width): tokens of all passes, descriptors, and layers by head.

    ``described`` gives similarities and matches, ``by`` says what they are made of, and ``notes`` what is lost.
    """

    size: tuple[int, int]
    encoded: Sequence[EncodedPass]
    described: Described
    by: str
    layers: Mapping[str, Layer]
    notes: Sequence[str]
    ms: float

    @property
    def placed(self) -> PlacedTokens:
        """The tokens that are shown."""
        return self.encoded[0].placed

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens, descriptors and maps."""
        tokens = [placed.tokens for _, placed in self.encoded]
        tensors = [tensor for one in tokens for tensor in (*one.maps.values(), *one.prefix.values())]
        maps = sum(len(layer.planes) for layer in self.layers.values())
        enlarged = 4 * (self.described.search.size**2 + HEAT.size**2)
        return sum(tensor.nbytes for tensor in (*tensors, self.described.maps)) + maps + enlarged

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
            "notes": self.notes,
            "similarBy": self.by,
            "tokens": [{"layer": layer, "stride": strides[layer]} for layer in sorted(self.placed.tokens.maps)],
            "heads": [{"name": name, **layer.values} for name, layer in self.layers.items()],
        }

    def cells(self, layer: int) -> Cells:
        """The tokens of one layer, evenly left out where there are many; raises ArgusError for one that is not kept."""
        tokens = self.placed.tokens
        if layer not in tokens.maps:
            raise ArgusError(f"the tokens of layer {layer} are not kept; there are those of {sorted(tokens.maps)}")
        maps, stride = tokens.features(Needs((layer,))).map[0], tokens.info.strides[layer]
        step = math.ceil(max(maps.shape[1:]) / CELLS)
        return Cells.of(maps[:, ::step, ::step], stride * step, self.placed.placements[0].extent)


@torch.no_grad()
def look(argus: Argus, image: Pixels, taught: Needs | None = None) -> Look:
    """Encode an image once for each canvas, and ask all heads; maps are as large as a screen at most.

    ``taught`` is what heads read that may be solved later, from the tokens that are shown.
    """
    start = time.perf_counter()
    size, layer = (image.shape[0], image.shape[1]), argus.embedding_layers.objects
    passes = sorted(argus.passes(None, argus.tiling, size), key=lambda group: _rank(argus, group))
    encoded = []
    for number, group in enumerate(passes):
        needs = group.needs if number else group.needs | Needs((layer,)) | (taught or group.needs)
        encoded.append(EncodedPass(group, argus.tokens([image], group.canvas, needs).to("cpu")))
    predictions = _predict(argus, encoded, size)
    described, by = _described(predictions, encoded[0].placed, layer)
    layers = _layers(_results(argus, predictions, size))
    shrunk = Shrunk("a server that is started with --tiles auto sees them")
    shrunk.add(size, argus.shrinking())
    return Look(size, encoded, described, by, layers, shrunk.notes(), 1e3 * (time.perf_counter() - start))


@torch.no_grad()
def results_of(argus: Argus, seen: Look) -> bytes:
    """The answers of all heads in pixels of the image, as gzipped JSON, from the tokens that are kept."""
    results = _results(argus, _predict(argus, seen.encoded, seen.size, whole=True), seen.size)
    text = json.dumps({name: result.to_dict() for name, result in results.items()}, allow_nan=False)
    return gzip.compress(text.encode(), 1)


def _layers(results: Mapping[str, Result]) -> dict[str, Layer]:
    """The layers of all results; boxes that masks contradict have ``doubted``: by which head, and what that sees."""
    layers = {name: layer_of(result) for name, result in results.items()}
    for flag in find_flags(results):
        layers[flag.head].values["boxes"][flag.detection]["doubted"] = {"by": flag.masks, "seen": flag.seen}
    return layers


def _rank(argus: Argus, group: Pass) -> tuple[bool, bool, bool]:
    """The pass whose tokens are shown comes first: that of a head which matches points, else of a detector, else of
    any head but a classifier, whose canvas may cut off the border."""
    tasks = {argus.head(name).task.name for name in group.heads}
    return "correspond" not in tasks, "detect" not in tasks, tasks == {"classify"}


def _shown(size: tuple[int, int]) -> tuple[int, int]:
    """The height and width of maps of an image: its own, unless it is larger than a screen."""
    scale = min(1.0, SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _predict(
    argus: Argus, encoded: Sequence[EncodedPass], size: tuple[int, int], whole: bool = False
) -> dict[str, Any]:
    """Predictions of all heads, see ``answers``."""
    predictions: dict[str, Any] = {}
    for group, placed in encoded:
        heads = {name: argus.head(name) for name in group.heads}
        predictions |= answers(heads, placed, size, argus.backbone.device, whole)
    return predictions


def answers(
    heads: Mapping[str, Head],
    placed: PlacedTokens,
    size: tuple[int, int],
    device: torch.device,
    whole: bool = False,
) -> dict[str, Any]:
    """Predictions of heads for an image of ``size``; maps are as large as a screen at most, unless ``whole``."""
    predictions: dict[str, Any] = {}
    for dense, own in ((True, size if whole else _shown(size)), (False, size)):
        asked = {name: head for name, head in heads.items() if (head.task.name in DENSE) == dense}
        sized = PlacedTokens(placed.tokens, [_resized(place, own) for place in placed.placements]).to(device)
        predictions |= run_passes(asked, [((0,), sized)])[0] if asked else {}
    return predictions


def result_of(task: Task, prediction: Any, size: tuple[int, int]) -> Result:
    """The result of a prediction for an image of ``size``; it has no picture."""
    return task.result(prediction, np.broadcast_to(np.uint8(0), (*size, 3)), **OPTIONS.get(task.name, {}))


def _resized(place: Placement, size: tuple[int, int]) -> Placement:
    """The placement of the same image in another size."""
    height, width = (scale * old / new for scale, old, new in zip(place.scale, place.image_size, size, strict=True))
    return replace(place, image_size=size, scale=(height, width))


def _described(predictions: Mapping[str, Any], placed: PlacedTokens, layer: int) -> tuple[Described, str]:
    """The descriptors of a head that matches points, else the tokens of a layer, and what they are in words."""
    for name, prediction in predictions.items():
        if isinstance(prediction, Described):
            return replace(prediction, device=None), f"the head {name}"
    (place,), tokens = placed.placements, placed.tokens
    maps, stride = tokens.features(Needs((layer,))).map[0], tokens.info.strides[layer]
    return Described(maps, stride, place.extent, place.canvas_size, Search(), place), f"tokens of layer {layer}"


def _results(argus: Argus, predictions: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Result]:
    """The results of the heads that answer about one image, in their order."""
    tasks = {name: argus.head(name).task for name in argus.heads}
    return {
        name: result_of(task, predictions[name], size)
        for name, task in tasks.items()
        if not isinstance(predictions[name], Described)
    }
