"""A narrow EUPE transformer with fixed random weights, which needs no download."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from argus_core.backbones.base import Backbone, Precision
from argus_core.backbones.timm_models import build, wrap
from argus_core.backbones.weights import load_strict, read_tensors, rope_periods
from argus_core.common.license import APACHE


def tiny(weights: str | Path | None = None, *, precision: Precision = "auto") -> Backbone:
    """12 blocks of 96 channels, stride 16, 5 prefix tokens; without a file the same weights on all machines.

    Local colour and texture can be read linearly from random features, so heads learn something on them.
    """
    model = build("vit_small_patch16_dinov3_qkvb", embed_dim=96, num_heads=3)
    if weights is not None:
        load_strict(model, read_tensors(weights), weights)
    else:
        tensors = {**model.state_dict(), **rope_periods(model)}
        load_strict(model, {key: _fixed(key, value) for key, value in tensors.items()}, "the fixed recipe")
    return wrap(model, "tiny", license=APACHE.id, precision=precision)


def _fixed(key: str, like: Tensor) -> Tensor:
    """The value of a tensor, from its name alone; ``torch.rand`` is bit-identical on all machines."""
    if key.endswith("periods"):
        return like.bfloat16().float()  # pow() differs in the last bit between machines
    generator = torch.Generator().manual_seed(zlib.crc32(f"argus tiny {key}".encode()))
    noise = (torch.rand(like.shape, generator=generator) * 2 - 1) * math.sqrt(3.0)  # mean 0, variance 1
    if "gamma" in key:
        return 0.5 + 0.1 * noise
    if key.endswith("token"):
        return 0.1 * noise
    if like.ndim == 1:
        return (1.0 if key.endswith("weight") else 0.0) + 0.05 * noise
    return noise / math.sqrt(like[0].numel())
