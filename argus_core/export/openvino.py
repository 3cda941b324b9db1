"""The backbone run by OpenVINO on the CPU, with int8 weights if asked."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from argus_core.backbones import Backbone
from argus_core.export.extras import need
from argus_core.export.trace import coarsest, example_images, image_axes, trace


class OpenVINONetwork:
    """What ``forward_intermediates`` of a timm network gives, by graphs for any size: one per set of layers.

    The first question after layers of its own takes the seconds of tracing; sizes cost nothing. Computes in float32,
    with as many threads as PyTorch had then; ``int8`` rounds the weights of products (nncf, no calibration).
    """

    def __init__(self, backbone: Backbone, int8: bool = False) -> None:
        self.openvino = need("openvino", "openvino")
        self.nncf = need("nncf", "openvino") if int8 else None
        self.model, self.info = backbone.model, backbone.info
        self._compiled = lru_cache(maxsize=None)(self._compile)

    def __call__(self, images: Tensor, **options: Any) -> list[Any]:
        """Called as timm's method: taps, or pairs of a tap and the tokens before it."""
        fixed = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in options.items())
        request = self._compiled(fixed)
        found = [torch.from_numpy(value.copy()) for value in request([images.contiguous().numpy()]).to_tuple()]
        return [*zip(found[::2], found[1::2], strict=True)] if options.get("return_prefix_tokens") else found

    def _compile(self, options: tuple[tuple[str, Any], ...]) -> Any:
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
    """Without the tables and bars that nncf prints."""
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
        found = self.model.forward_intermediates(images, **self.options)  # type: ignore[operator]
        return [tensor for one in found for tensor in (one if isinstance(one, tuple) else (one,))]
