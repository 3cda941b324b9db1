"""Published weights: found in the local cache, else fetched, else an error that says what to fetch."""

from __future__ import annotations

import os
from pathlib import Path

import huggingface_hub
from huggingface_hub.utils import get_session
from timm.models import get_pretrained_cfg

from argus_core.errors import ArgusError

_FILE = "model.safetensors"


def published_weights(name: str, official: str = "") -> Path:
    """The file with timm's weights of ``name``; ``official`` names another file that serves as well.

    ARGUS_OFFLINE=1 leaves the network alone. Raises ArgusError, soon, when the file cannot be had.
    """
    config = get_pretrained_cfg(name)
    repository = config.hf_hub_id if config else None
    if not repository:
        raise ArgusError(f"timm publishes no weights of {name}; give a file with --weights PATH")
    cached = huggingface_hub.try_to_load_from_cache(repository, _FILE)
    if isinstance(cached, str):
        return Path(cached)
    if os.environ.get("ARGUS_OFFLINE", "") not in ("", "0"):
        raise _not_here(repository, official, "ARGUS_OFFLINE forbids fetching them")
    try:
        # The hub's client repeats a failed request for most of a minute; one plain request tells at once.
        get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
        return Path(huggingface_hub.hf_hub_download(repository, _FILE))
    except Exception as error:  # the client passes on its transport library's own errors
        raise _not_here(repository, official, f"fetching them failed: {error}") from error


def _not_here(repository: str, official: str, reason: str) -> ArgusError:
    either = f"{official} or " if official else ""
    return ArgusError(
        f"the weights are not on this machine and {reason}; fetch {either}{_FILE} from "
        f"{repository} on the Hugging Face hub and point to the file with --weights PATH"
    )
