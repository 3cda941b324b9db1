"""Where the weights of a backbone were published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argus_core.backbones.eupe import VARIANTS
from argus_core.backbones.hub import published_id


def base_model(name: str, license: str, options: Mapping[str, Any]) -> str | None:
    """The hub id of the model that a backbone's weights are, or were tuned from; None if that is not known.

    ``name``, ``license`` and ``options`` are those of the backbone: timm's models with weights of unknown terms, or of
    terms that had to be stated, are somebody's own.
    """
    if name in VARIANTS:
        return published_id(VARIANTS[name].tag)
    scheme, _, model = name.partition(":")
    return published_id(model) if scheme == "timm" and license != "unknown" and "license" not in options else None
