"""Which graphs an Argus becomes, and what each is traced on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from argus_core.errors import ArgusError
from argus_core.export.graph import Answer, Encode, Image, Reader, Whole, stride_of
from argus_core.export.match import matcher
from argus_core.export.trace import coarsest, example_images, image_axes, token_axes
from argus_core.export.weights import quantized
from argus_core.model import Composition
from argus_core.tasks.correspond import DescriptorMaps
from argus_core.tokens import Needs
from argus_core.tokens.taps import EmbeddingLayers

IMAGE = "image"
"""What the vector of the whole image is called among the heads."""
POINTS = 5
"""Points that matching is traced with."""


@dataclass(frozen=True)
class Part:
    """One graph: the module, the example it is traced on, its free axes, and the names of inputs and outputs.

    ``strides`` are the canvas pixels of a cell, of those outputs that are maps.
    """

    module: nn.Module
    example: tuple[Any, ...]
    axes: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    strides: Mapping[str, int]


@dataclass(frozen=True)
class Parts:
    """An Argus as graphs: the whole of it, and each of its parts by name.

    Parts are ``backbone``, ``head_NAME`` of every head, ``match_NAME`` of heads whose descriptors are matched, and with
    ``embedding`` layers ``head_image``. The sides of a canvas must be multiples of ``unit`` pixels.
    """

    whole: Part
    parts: Mapping[str, Part]
    unit: int
    embedding: EmbeddingLayers | None = None

    @property
    def heads(self) -> list[str]:
        """The names of what answers from tokens: the heads, and ``image``."""
        return [name.removeprefix("head_") for name in self.parts if name.startswith("head_")]


@torch.no_grad()
def take_apart(argus: Composition, embedding: EmbeddingLayers | None = None) -> Parts:
    """The graphs of an Argus, also of its embeddings; raises ArgusError for a head that cannot become one."""
    needs, info = needs_of(argus, embedding), argus.backbone.info
    unit = coarsest([info.strides[layer] for layer in needs.layers])
    encode, example, axes = Encode(argus.backbone, needs), example_images(unit), image_axes(unit)
    tokens = encode(*example)
    strides = {name: info.strides[int(name[4:])] for name in tokens if name.startswith("map_")}
    parts = {"backbone": Part(encode, example, axes, ("images", "extent"), tuple(tokens), strides)}
    readers: dict[str, Reader] = {}
    for name in argus.heads:
        _check_name(name, embedding)
        readers[name] = answer = Answer(argus.head(name), argus.backbone.norm, embedding and embedding.objects)
        parts |= _head_parts(name, answer, tokens)
    if embedding is not None:
        readers[IMAGE] = image = Image(info, argus.backbone.norm, embedding.images)
        parts[f"head_{IMAGE}"] = _image_part(image, tokens)
    graphs = {name: parts[f"head_{name}"] for name in readers}
    outputs = tuple(f"{name}_{key}" for name, part in graphs.items() for key in part.outputs)
    strides = {f"{name}_{key}": stride for name, part in graphs.items() for key, stride in part.strides.items()}
    whole = Part(Whole(encode, readers), example, axes, ("images", "extent"), outputs, strides)
    return Parts(whole, parts, unit, embedding)


def needs_of(argus: Composition, embedding: EmbeddingLayers | None) -> Needs:
    """What one pass must give for all heads and for embeddings."""
    return argus.needs if embedding is None else argus.needs | embedding.needs


def _check_name(name: str, embedding: EmbeddingLayers | None) -> None:
    if not re.fullmatch(r"[\w-]+", name):
        raise ArgusError(f"head {name!r} cannot name a file; add it under a name of letters, digits and _")
    if name == IMAGE and embedding is not None:
        raise ArgusError(f"the vector of the whole image is called {IMAGE!r}, so a head cannot be: add it as another")


def _image_part(image: Image, tokens: Mapping[str, Tensor]) -> Part:
    example = {f"prefix_{image.layer}": tokens[f"prefix_{image.layer}"]}
    axes = token_axes(tuple(example), image.info.strides)
    return Part(image, (example,), (axes,), tuple(example), ("embedding",), {})


def _head_parts(name: str, answer: Answer, tokens: Mapping[str, Tensor]) -> dict[str, Part]:
    """A head's graph, and that of matching where it describes images."""
    example = {key: tokens[key] for key in answer.inputs}
    output, names = answer.head(answer.view(example)), tuple(answer(example))
    stride = stride_of(output)
    strides = dict.fromkeys(names, stride) if stride else {}
    axes = token_axes(answer.inputs, answer.head.info.strides)
    parts = {f"head_{name}": Part(answer, (example,), (axes,), tuple(example), names, strides)}
    if isinstance(output, DescriptorMaps):
        parts[f"match_{name}"] = _match_part(answer, output)
    return parts


def _match_part(answer: Answer, output: DescriptorMaps) -> Part:
    maps, extents = output.maps.float(), output.extent
    cells = {1: Dim("rows", min=2), 2: Dim("columns", min=2)}
    return Part(
        matcher(answer.head, output),
        (maps[0], maps[1], torch.zeros(POINTS, 2), extents),
        (cells, cells, {0: Dim("points", min=1)}, None),
        ("first", "second", "points", "extents"),
        ("matches", "scores"),
        {},
    )


@contextmanager
def at_rest(argus: Composition) -> Iterator[None]:
    """Put an Argus on the CPU, in eval mode and not compiled, while it is traced."""
    if quantized(argus):
        raise ArgusError("quantised weights cannot be exported: export before quantize_int8()")
    device, compiled = argus.backbone.device, argus.backbone._compiled
    training = [module for module in argus.modules() if module.training]
    try:
        argus.backbone._compiled = None
        argus.to("cpu").eval()
        yield
    finally:
        argus.backbone._compiled = compiled
        argus.to(device)
        for module in training:
            module.training = True
