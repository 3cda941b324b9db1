"""A backbone by its name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from argus_core.backbones.base import Backbone
from argus_core.errors import ArgusError
from argus_core.registry import BACKBONES


def load_backbone(
    name: str = "eupe_vitb16",
    weights: str | Path | None = None,
    device: torch.device | str | None = None,
    compile: bool = False,
    **options: Any,
) -> Backbone:
    """The backbone ``name`` (or ``SCHEME:NAME``, such as ``timm:resnet18``) with its own or a file's weights.

    ``options`` go to the backbone's factory. Raises ArgusError for an unknown name and for weights that are not
    available.
    """
    scheme, _, inner = name.partition(":")
    factory = BACKBONES.load(scheme)
    positional, keywords = [inner] if inner else [], {"weights": weights, **options}
    try:
        inspect.signature(factory).bind(*positional, **keywords)
    except TypeError as error:
        raise ArgusError(f"backbone {name!r}: {error}; timm models are written timm:NAME") from error
    backbone: Backbone = factory(*positional, **keywords)
    backbone.options = dict(options)
    if device is not None:
        backbone = backbone.to(device)
    if compile:
        backbone.compile()
    return backbone
