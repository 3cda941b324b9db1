"""Writing a backbone as a folder that ``load_backbone`` takes in place of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.backbones.base import Backbone
from argus_core.backbones.weights import rope_periods
from argus_core.common.architecture import ARCHITECTURE, PROVENANCE, TENSORS, Architecture, is_backbone_folder
from argus_core.common.files import write_json
from argus_core.common.folders import claim
from argus_core.common.tensors import write_tensors

__all__ = ["write_backbone"]


def write_backbone(
    folder: Path, backbone: Backbone, model: str, options: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Write a backbone of timm's ``model`` built with ``options``, and where it comes from.

    The file by which the folder is known is written last, so that a half of it is never taken for a whole. Raises
    ArgusError for a folder with other files.
    """
    claim(folder, is_backbone_folder, "backbone")
    (folder / ARCHITECTURE).unlink(missing_ok=True)
    network = backbone.model
    tensors = {**network.state_dict(), **rope_periods(network)}
    write_tensors(folder / TENSORS, tensors, {"format": "pt"})
    write_json(folder / PROVENANCE, dict(provenance))
    architecture = Architecture(
        model=model,
        options=dict(options),
        mean=list(backbone.mean),
        std=list(backbone.std),
        license=backbone.license,
        sha256=backbone.weights_sha256,
    )
    write_json(folder / ARCHITECTURE, architecture.model_dump(mode="json"))
