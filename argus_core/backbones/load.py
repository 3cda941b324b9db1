"""A backbone by its name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from argus_core.backbones.base import Backbone
from argus_core.common.architecture import AGAIN, ARCHITECTURE, TENSORS, is_backbone_folder, read_architecture
from argus_core.common.places import place
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

    A name that is not registered may be the folder of a backbone, such as `arena distill` writes. ``options`` go to the
    backbone's factory. Raises ArgusError for an unknown name and for weights that are not available.
    """
    if is_backbone_folder(name) and all(entry.name != name for entry in BACKBONES.entries()):
        return _load_folder(name, weights, device, compile, options)
    scheme, _, inner = name.partition(":")
    factory = BACKBONES.load(scheme)
    positional, keywords = [inner] if inner else [], {"weights": weights, **options}
    try:
        inspect.signature(factory).bind(*positional, **keywords)
    except TypeError as error:
        raise ArgusError(f"backbone {name!r}: {error}; timm models are written timm:NAME") from error
    backbone: Backbone = factory(*positional, **keywords)
    backbone.options, backbone.file = dict(options), None if weights is None else place(weights)
    if device is not None:
        backbone = backbone.to(device)
    if compile:
        backbone.compile()
    return backbone


def _load_folder(
    folder: str, weights: str | Path | None, device: torch.device | str | None, compile: bool, options: dict[str, Any]
) -> Backbone:
    """The network that a folder describes, with its tensors unless others are given."""
    found = read_architecture(folder)
    file = weights or place(folder) / TENSORS
    backbone = load_backbone(found.name, file, device, compile, **{**found.factory_options, **options})
    if weights is None and backbone.weights_sha256 != found.sha256:
        raise ArgusError(
            f"the tensors in {file} have sha256 {backbone.weights_sha256[:12]}, {ARCHITECTURE} beside them says "
            f"{found.sha256[:12]}: they are damaged or of another network; {AGAIN}"
        )
    return backbone
