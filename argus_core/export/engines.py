"""Other ways to run the backbone than eager PyTorch: compiled, OpenVINO on the CPU, and int8 weights."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from argus_core.backbones import Backbone
from argus_core.common.extras import need
from argus_core.errors import ArgusError, unknown
from argus_core.export.trace import coarsest, example_images, image_axes, trace
from argus_core.model import Composition

A = TypeVar("A", bound=Composition)
Options = tuple[tuple[str, Any], ...]


def quantize_int8(argus: A) -> A:
    """Hold the weights of the backbone's linear layers as int8 with a scale per output channel, in place.

    Heads, convolutions, norms and the ``qkv`` of EVA's and DINOv3's attention stay as they are. The only way back is
    to load the Argus again; it can be neither saved nor exported. Needs the extra ``quant``.
    """
    if quantized(argus):
        return argus
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchao = need("torchao.quantization", "quant")
        config = torchao.Int8WeightOnlyConfig()
        network = argus.backbone.model
        # Attention with biases of its own multiplies with the weight by keyword, which int8 weights do not take.
        skipped = {f"{name}.qkv" for name, module in network.named_modules() if hasattr(module, "q_bias")}
        torchao.quantize_(
            network, config, filter_fn=lambda module, name: isinstance(module, nn.Linear) and name not in skipped
        )
    return argus


def quantized(argus: Composition) -> bool:
    """Whether ``quantize_int8`` was called before."""
    return any(type(p.data).__module__.partition(".")[0] == "torchao" for p in argus.parameters())


class OpenVINONetwork:
    """``forward_intermediates`` of a timm network, computed by OpenVINO: one graph of any size per set of layers.

    The first call for a set of layers takes seconds, as it is traced then; new sizes cost nothing. Computes in float32,
    with as many threads as PyTorch had then; ``int8`` rounds the weights of products (nncf, no calibration).
    """

    def __init__(self, backbone: Backbone, int8: bool = False) -> None:
        self.openvino = need("openvino", "openvino")
        self.nncf = need("nncf", "openvino") if int8 else None
        self.model, self.info = backbone.model, backbone.info
        self._compiled: dict[Options, Any] = {}

    def __call__(self, images: Tensor, **options: Any) -> list[Any]:
        """Called as timm's method: taps, or pairs of a tap and its prefix tokens."""
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())
        if key not in self._compiled:
            self._compiled[key] = self._compile(key)
        values = self._compiled[key]([images.contiguous().numpy()]).to_tuple()
        outputs = [torch.from_numpy(value.copy()) for value in values]
        return [*zip(outputs[::2], outputs[1::2], strict=True)] if options.get("return_prefix_tokens") else outputs

    def _compile(self, options: Options) -> Any:
        named = dict(options)
        unit = coarsest([self.info.strides[layer] for layer in named["indices"]])
        example = torch.zeros(example_images(unit)[0].shape)
        program = trace(_Taps(self.model, named), (example,), (image_axes(unit)[0],), "the backbone")
        with _quiet():
            graph = self.openvino.convert_model(program)
            if self.nncf is not None:
                graph = self.nncf.compress_weights(graph, mode=self.nncf.CompressWeightsMode.INT8_SYM)
        settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        return self.openvino.Core().compile_model(graph, "CPU", settings)


@contextmanager
def _quiet() -> Iterator[None]:
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


class _Taps(nn.Module):
    """A network's intermediate outputs, flat."""

    def __init__(self, model: nn.Module, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.options = model, {**options, "indices": list(options["indices"])}

    def forward(self, images: Tensor) -> list[Tensor]:
        taps = self.model.forward_intermediates(images, **self.options)  # type: ignore[operator]
        return [tensor for tap in taps for tensor in (tap if isinstance(tap, tuple) else (tap,))]


ENGINES = ("eager", "inductor", "openvino")


def compile_backbone(argus: A, engine: str = "inductor", int8: bool = False) -> A:
    """Run the backbone of an Argus by ``engine`` from now on, and return it; heads stay with PyTorch.

    ``inductor`` compiles on the first pass of each size; ``openvino`` needs the extra ``openvino`` and a CPU, and
    rounds weights to int8 if asked; ``eager`` undoes both. Raises ArgusError for what an engine cannot do.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    backbone = argus.backbone
    if int8 and engine != "openvino":
        raise ArgusError(f"engine {engine!r} has no int8 of its own; use engine='openvino', or quantize_int8() before")
    if engine == "openvino":
        if backbone.device.type != "cpu":
            raise ArgusError(f"OpenVINO runs on the CPU, the backbone is on {backbone.device}: argus.to('cpu') first")
        backbone._compiled = OpenVINONetwork(backbone, int8)
    elif engine == "inductor":
        # Weights as constants, which a frozen backbone's are, let the compiler lay them out for products on a CPU.
        backbone.compile(options={"freezing": True} if backbone.device.type == "cpu" else None)
    else:
        backbone._compiled = None
    return argus
