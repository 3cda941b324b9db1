"""The weights that timm publishes on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from timm.models import get_pretrained_cfg

from argus_core.common.hub import fetch
from argus_core.common.hub_errors import HubError
from argus_core.errors import ArgusError

__all__ = ["published_weights"]

_FILE = "model.safetensors"


def published_id(name: str) -> str | None:
    """The hub id of timm's weights of ``name``, if timm publishes any."""
    config = get_pretrained_cfg(name)
    return config.hf_hub_id or None if config else None


def published_weights(name: str, official: str = "") -> Path:
    """The file with timm's weights of ``name``; ``official`` describes another file that could be used.

    With ARGUS_OFFLINE=1 the network is not used. Raises ArgusError, without a long wait, if there is no file.
    """
    repository = published_id(name)
    if not repository:
        raise ArgusError(f"timm publishes no weights of {name}; give a file with --weights PATH (in a recipe: weights)")
    try:
        return fetch(repository, _FILE)
    except HubError as error:
        either = f"{official} or " if official else ""
        raise ArgusError(
            f"the weights are not on this machine, and {error}; fetch {either}{_FILE} from "
            f"{repository} on the Hugging Face hub and point to the file with --weights PATH (in a recipe: weights)"
        ) from error
