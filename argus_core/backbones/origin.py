"""Where the weights of a backbone were published."""

from __future__ import annotations

from argus_core.backbones.eupe import VARIANTS
from argus_core.backbones.hub import published_id


def base_model(name: str, license: str) -> str | None:
    """The hub id of the model that a backbone's weights are, or were tuned from; None if that is not known.

    ``name`` and ``license`` are those of the backbone: timm's models with weights of unknown terms are somebody's own.
    """
    if name in VARIANTS:
        return published_id(VARIANTS[name].tag)
    scheme, _, model = name.partition(":")
    return published_id(model) if scheme == "timm" and license != "unknown" else None
