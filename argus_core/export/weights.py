"""Weights of the backbone as int8, in PyTorch."""

from __future__ import annotations

import warnings
from typing import TypeVar

from torch import nn

from argus_core.common.extras import need
from argus_core.model import Composition

A = TypeVar("A", bound=Composition)


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
