"""The backbone as an OpenVINO graph, and such a graph in the place of the backbone."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_core.backbones import Backbone
from argus_core.common.extras import need
from argus_core.errors import ArgusError
from argus_core.export.graph import Encode
from argus_core.export.trace import coarsest, example_images, image_axes, trace
from argus_core.tokens import Needs

PIXELS = "normalised"
"""The tensor inside a graph at which the network begins."""
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""What OpenVINO computes in where a graph is not quantised; it uses float32 on CPUs without products in bfloat16."""


def encoder(backbone: Backbone, needs: Needs) -> Any:
    """``Encode`` of the maps and prefixes of all needed layers as an OpenVINO model, inputs and outputs by name."""
    encode = Encode(backbone, replace(needs, maps=True, cls=True))
    unit = coarsest([backbone.info.strides[layer] for layer in encode.needs.layers])
    program = trace(encode, example_images(unit), image_axes(unit), "the backbone")
    with quiet():
        graph = need("openvino", "openvino").convert_model(program)
    named(graph, ("images", "extent"), (*_names(sorted(set(encode.needs.layers))), "ends"))
    # Bytes become pixels where padding is masked, before anything else is chosen between four-dimensional values.
    choices = (op for op in graph.get_ordered_ops() if op.get_type_name() == "Select")
    pixels = next(op for op in choices if op.get_output_partial_shape(0).rank.get_length() == 4)
    pixels.output(0).get_tensor().set_names({PIXELS})
    return graph


def _names(layers: Sequence[int]) -> list[str]:
    return [f"{kind}_{layer}" for kind in ("map", "prefix") for layer in layers]


def named(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The model with names for its inputs and outputs, in their order."""
    for ports, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
            port.get_node().set_friendly_name(name)
    return graph


def from_pixels(graph: Any) -> Any:
    """The part of an ``encoder`` behind the normalising: floats (B, 3, H, W) and ``extent`` to the same outputs."""
    openvino = need("openvino", "openvino")
    graph = graph.clone()
    ports = [port for op in graph.get_ops() for port in op.outputs()]
    begin = next(port for port in ports if PIXELS in port.get_names())
    pixels = openvino.opset13.parameter([-1, 3, -1, -1], openvino.Type.f32, PIXELS)
    for port in (begin, graph.input("images")):
        for target in [*port.get_target_inputs()]:
            target.replace_source_output(pixels.output(0))
    return openvino.Model(graph.get_results(), [pixels, graph.input("extent").get_node()])


def read_graph(path: Path) -> Any:
    """The model in a file, which may be replaced while the model is in use."""
    core = need("openvino", "openvino").Core()
    core.set_property({"ENABLE_MMAP": False})
    return core.read_model(path)


def compiled(graph: Any, precision: str) -> Any:
    """The model for this CPU, on as many threads as PyTorch has now."""
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": HINTS[precision]}
    return need("openvino", "openvino").Core().compile_model(graph, "CPU", settings)


def check_bf16() -> None:
    """Raise ArgusError on a CPU that has no products in bfloat16, where they would be slower than in float32."""
    core = need("openvino", "openvino").Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ArgusError("this CPU has neither of the flags amx_bf16 and avx512_bf16, so bf16 gains nothing: use fp32")


class OpenVINONetwork:
    """``forward_intermediates`` of a timm network, computed by OpenVINO: one graph of any size.

    Without a ``graph``, an ``encoder``, the network is traced for each set of layers when it is first asked for, which
    takes seconds. New sizes cost nothing.
    """

    def __init__(self, backbone: Backbone, precision: str = "fp32", graph: Any = None) -> None:
        need("openvino", "openvino")
        self.backbone, self.precision, self.graph = backbone, precision, graph
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Tensor, indices: Sequence[int], **_: Any) -> list[Any]:
        """Called as timm's method: taps (B, C, h, w), in pairs with the prefix tokens if the network has any."""
        layers = tuple(indices)
        if layers not in self._compiled:
            self._compiled[layers] = self._compile(layers)
        extent = torch.zeros(len(images), 2, dtype=torch.int64)  # nothing is masked: the backbone does that
        values = self._compiled[layers]([images.contiguous().numpy(), extent.numpy()])
        taps = [torch.from_numpy(values[f"map_{layer}"].copy()) for layer in layers]
        count = int(getattr(self.backbone.model, "num_prefix_tokens", 0))
        if not count:
            return taps
        # In front of the network's own tokens there may be a mean, which the backbone takes anew.
        prefix = [torch.from_numpy(values[f"prefix_{layer}"][:, -count:].copy()) for layer in layers]
        return [*zip(taps, prefix, strict=True)]

    def _compile(self, layers: tuple[int, ...]) -> Any:
        graph = self.graph
        if graph is None:
            with as_eager(self.backbone):
                graph = encoder(self.backbone, Needs(layers))
        if missing := {*_names(layers)} - {name for port in graph.outputs for name in port.get_names()}:
            raise ArgusError(f"the OpenVINO graph lacks {', '.join(sorted(missing))}: make it anew with all heads")
        return compiled(from_pixels(graph), self.precision)


@contextmanager
def as_eager(backbone: Backbone, network: Any = None) -> Iterator[None]:
    """Let a backbone run ``network``, by default its own, for a while."""
    before = backbone._compiled
    backbone._compiled = network
    try:
        yield
    finally:
        backbone._compiled = before


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the tables and progress bars of nncf."""
    logger = logging.getLogger("nncf")
    level = logger.level
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
