"""Files on the Hugging Face hub: from the local cache, else downloaded, else an error that says what to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session
from timm.models import get_pretrained_cfg

from argus_core.common.offline import offline
from argus_core.errors import ArgusError

__all__ = ["published_folder", "published_weights"]

_FILE = "model.safetensors"


def published_weights(name: str, official: str = "") -> Path:
    """The file with timm's weights of ``name``; ``official`` describes another file that could be used.

    With ARGUS_OFFLINE=1 the network is not used. Raises ArgusError, without a long wait, if there is no file.
    """
    config = get_pretrained_cfg(name)
    repository = config.hf_hub_id if config else None
    if not repository:
        raise ArgusError(f"timm publishes no weights of {name}; give a file with --weights PATH")
    cached = huggingface_hub.try_to_load_from_cache(repository, _FILE)
    if isinstance(cached, str):
        return Path(cached)
    if offline():
        raise _not_available(repository, official, "ARGUS_OFFLINE forbids fetching them")
    try:
        _check_reachable()
        return Path(huggingface_hub.hf_hub_download(repository, _FILE))
    except Exception as error:  # the client raises errors of its transport library too
        raise _not_available(repository, official, f"fetching them failed: {error}") from error


def published_folder(repository: str, files: Sequence[str], revision: str | None = None) -> Path:
    """A folder with ``files`` of a repository, all of one revision; cached files are not requested again.

    With ARGUS_OFFLINE=1 the network is not used. Raises ArgusError, without a long wait, if files are missing.
    """
    fetch = partial(huggingface_hub.snapshot_download, repository, revision=revision, allow_patterns=list(files))
    try:
        folder = Path(fetch(local_files_only=True))
        if all((folder / file).is_file() for file in files):
            return folder
    except HFValidationError as error:
        raise ArgusError(f"{repository!r} is no hub id: {error}") from error
    except LocalEntryNotFoundError:
        pass
    wanted = f"{' and '.join(files)} of {repository}"
    if offline():
        raise ArgusError(f"{wanted} are not on this machine and ARGUS_OFFLINE forbids fetching them")
    try:
        _check_reachable()
        folder = Path(fetch())
    except Exception as error:  # the client raises errors of its transport library too
        raise ArgusError(f"fetching {wanted} failed: {error}; check the name, or fetch them by hand") from error
    absent = [file for file in files if not (folder / file).is_file()]
    if absent:
        raise ArgusError(f"the hub's {repository} has no {' and no '.join(absent)}; it was not saved by Argus.save")
    return folder


def _check_reachable() -> None:
    """Raise at once if the hub cannot be reached; its client would retry for most of a minute."""
    get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)


def _not_available(repository: str, official: str, reason: str) -> ArgusError:
    either = f"{official} or " if official else ""
    return ArgusError(
        f"the weights are not on this machine and {reason}; fetch {either}{_FILE} from "
        f"{repository} on the Hugging Face hub and point to the file with --weights PATH"
    )
