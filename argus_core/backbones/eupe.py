"""The EUPE backbones; their FAIR Noncommercial Research License covers outputs and trained heads too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_core.backbones.base import Backbone, Precision
from argus_core.backbones.hub import published_weights
from argus_core.backbones.timm_models import build, wrap
from argus_core.backbones.weights import load_strict, read_tensors
from argus_core.common.license import EUPE
from argus_core.errors import ArgusError

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Variant:
    """A model: timm's name, the stem of the official file, final channels, and blocks of a ConvNeXt's third stage."""

    timm: str
    official: str
    channels: int
    blocks: int = 0

    @property
    def tag(self) -> str:
        """Timm's name of the model with its weights."""
        return f"{self.timm}.eupe_lvd1689m"


VARIANTS = {
    "eupe_vitt16": Variant("vit_tiny_patch16_dinov3_qkvb", "EUPE-ViT-T", 192),
    "eupe_vits16": Variant("vit_small_patch16_dinov3_qkvb", "EUPE-ViT-S", 384),
    "eupe_vitb16": Variant("vit_base_patch16_dinov3_qkvb", "EUPE-ViT-B", 768),
    "eupe_convnext_tiny": Variant("convnext_tiny", "EUPE-ConvNeXt-T", 768, 9),
    "eupe_convnext_small": Variant("convnext_small", "EUPE-ConvNeXt-S", 768, 27),
    "eupe_convnext_base": Variant("convnext_base", "EUPE-ConvNeXt-B", 1024, 27),
}
_DROPPED = ("mask_token", "projectors.", "local_cls_norm.", "norms.3.")
_RENAMED = (
    (r"^storage_tokens$", "reg_token"),
    (r"^(blocks\.\d+)\.ls([12])\.gamma$", r"\1.gamma_\2"),
    (r"^rope_embed\.periods$", "rope.periods"),
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d)\.", r"stages.\1.downsample."),
    (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
)


def _eupe(name: str, weights: str | Path | None = None, precision: Precision = "auto", **options: Any) -> Backbone:
    variant = VARIANTS[name]
    tag = variant.tag
    if weights is None:
        weights = published_weights(tag, f"{variant.official}.pt from facebook/{variant.official}")
    tensors = from_official(read_tensors(weights), weights)
    actual = identify(tensors)
    if actual not in (None, name):
        raise ArgusError(f"{weights} looks like {actual}, not {name}; use --backbone {actual} or another file")
    model = build(tag, **options)
    load_strict(model, tensors, weights, ignore=("head.fc",))
    return wrap(model, name, license=EUPE.id, precision=precision)


eupe_vitt16 = partial(_eupe, "eupe_vitt16")
"""ViT-Tiny/16: 12 blocks of 192 channels."""
eupe_vits16 = partial(_eupe, "eupe_vits16")
"""ViT-Small/16: 12 blocks of 384 channels."""
eupe_vitb16 = partial(_eupe, "eupe_vitb16")
"""ViT-Base/16: 12 blocks of 768 channels, the default."""
eupe_convnext_tiny = partial(_eupe, "eupe_convnext_tiny")
"""ConvNeXt-Tiny: stages of 96, 192, 384 and 768 channels."""
eupe_convnext_small = partial(_eupe, "eupe_convnext_small")
"""ConvNeXt-Small: stages of 96, 192, 384 and 768 channels, 27 blocks in the third."""
eupe_convnext_base = partial(_eupe, "eupe_convnext_base")
"""ConvNeXt-Base: stages of 128, 256, 512 and 1024 channels."""


def identify(tensors: Tensors) -> str | None:
    """The EUPE model that tensors under timm's names have the shapes of, if any."""
    norm = tensors.get("norm.weight", tensors.get("head.norm.weight"))
    blocks = sum(bool(re.fullmatch(r"stages\.2\.blocks\.\d+\.gamma", key)) for key in tensors)
    shape = (0 if norm is None else len(norm), blocks)
    return next((name for name, v in VARIANTS.items() if (v.channels, v.blocks) == shape), None)


def from_official(tensors: Tensors, source: str | Path) -> Tensors:
    """Tensors under timm's names, converted from official ones (github.com/facebookresearch/EUPE) if needed."""
    convnext = any(key.startswith("downsample_layers.") for key in tensors)
    if not convnext and "storage_tokens" not in tensors:
        return tensors
    out: Tensors = {}
    for key, value in tensors.items():
        if key.endswith(".bias_mask"):
            _check_mask(key, value, source)
        elif key.endswith(".attn.qkv.bias"):
            # The official forward multiplies the k bias by zero, whatever the file holds.
            query, _, value_bias = value.chunk(3)
            stem = key.removesuffix("qkv.bias")
            out |= {f"{stem}q_bias": query, f"{stem}v_bias": value_bias}
        elif not key.startswith(_DROPPED):
            out[_rename(key, convnext)] = value
    return out


def _rename(key: str, convnext: bool) -> str:
    if convnext and key.startswith("norm."):
        return f"head.{key}"
    for pattern, replacement in _RENAMED:
        key, count = re.subn(pattern, replacement, key)
        if count and pattern.startswith("^downsample"):
            break
    return key


def _check_mask(key: str, mask: Tensor, source: str | Path) -> None:
    expected = torch.ones_like(mask)
    expected.view(3, -1)[1] = 0
    if not torch.equal(mask, expected):
        raise ArgusError(f"{source}: {key} is not 1 for q, 0 for k, 1 for v; the file is damaged or of another model")
