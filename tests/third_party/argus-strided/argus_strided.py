"""A ResNet whose last stages are dilated, so that its maps have a stride of 8 pixels."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from argus_core.backbones import Backbone, Precision, load_strict, read_tensors
from argus_core.backbones.timm_models import build, wrap


def resnet_dilated(
    weights: str | Path | None = None,
    *,
    depth: Literal[18, 34, 50] = 18,
    output_stride: Literal[8, 16] = 8,
    precision: Precision = "auto",
) -> Backbone:
    """Five layers of strides 2, 4, 8, 8, 8 (16, 16 for ``output_stride`` 16) of timm's ResNet of ``depth`` layers.

    ``weights`` is a file with timm's names, whose licence is then unknown; by default weights are fixed random numbers.
    """
    model = build(f"resnet{depth}", output_stride=output_stride)
    if weights is None:
        state = {key: _fixed_weights(key, value) for key, value in model.state_dict().items()}
        load_strict(model, state, "the fixed weights")
    else:
        load_strict(model, read_tensors(weights), weights, ignore=("fc",))
    return wrap(model, "resnet_dilated", license="unknown" if weights else "apache-2.0", precision=precision)


def _fixed_weights(key: str, like: Tensor) -> Tensor:
    """Random values that depend on the name and shape of a tensor alone and preserve the scale of activations."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(like)
    if like.ndim == 1:
        # Blocks add to their input: with half the scale, twenty of them do not make it explode.
        halved = key.endswith((".bn2.weight", ".bn3.weight"))
        scale = 0.5 if halved else float(key.endswith(("weight", "running_var")))
        return torch.full_like(like, scale)
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    noise = (torch.rand(like.shape, generator=generator) * 2 - 1) * math.sqrt(3)  # mean 0, variance 1
    return noise * math.sqrt(2 / like[0].numel())
