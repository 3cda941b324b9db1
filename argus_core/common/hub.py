"""Files on the Hugging Face hub: from its cache on this machine, else fetched, else an error that says what to do."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.hf_api import ModelInfo

from argus_core.common.hub_errors import LOG_IN, HubError, Unavailable, hub_errors
from argus_core.common.offline import offline

TIMEOUT = 10.0
"""Seconds that the hub has for its first answer; its client alone would try for most of a minute."""


def fetch(repository: str, file: str, revision: str | None = None, newest: bool = False) -> Path:
    """A file of a repository; a cached one is not asked for again, unless the ``newest`` of a branch or tag is wanted.

    Where the hub cannot be reached the cached file serves instead, with a warning. ``revision`` is a branch, a tag or
    a commit, by default ``main``. Raises HubError, without a long wait.
    """
    at = f"@{revision[:7] if _is_commit(revision) else revision}" if revision else ""
    task = f"fetching {file} of {repository}{at}"
    with hub_errors(task, repository):
        found = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
    cached = Path(found) if isinstance(found, str) else None
    commit = cached.parent.name if cached else ""  # the client's cache has a folder per commit
    forbidden = _forbidden()
    if cached is not None and (forbidden or not newest or _is_commit(revision)):
        return cached
    if forbidden:
        why = f"it is not on this machine, and {forbidden} forbids fetching it; unset it once"
        raise Unavailable(f"{task} failed: {why}")
    try:
        with hub_errors(task, repository):
            ask(repository, revision)
            return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except Unavailable as error:
        if cached is None:
            raise
        warnings.warn(f"{error}; the copy that was fetched earlier is used, commit {commit}", stacklevel=2)
        return cached
    except HubError as error:
        if cached is None:
            raise
        raise HubError(f"{error}. A copy was fetched earlier: load it with revision={commit!r}") from error


def ask(repository: str, revision: str | None = None) -> ModelInfo:
    """What the hub knows of a revision of a repository: its commit, its files, whether it is private."""
    return HfApi().model_info(repository, revision=revision, timeout=TIMEOUT)


def check_account() -> None:
    """Raise HubError unless there is a token that the hub accepts, and the network may be used."""
    if forbidden := _forbidden():
        raise Unavailable(f"publishing needs the network, and {forbidden} forbids using it")
    if huggingface_hub.get_token() is None:
        page = f"{constants.ENDPOINT}/settings/tokens"
        raise HubError(f"publishing needs an account of the hub: {LOG_IN} to a token of {page} that may write")
    with hub_errors("logging in", ""):
        HfApi().whoami()


def _forbidden() -> str:
    """The variable that forbids the network, if one does."""
    return "ARGUS_OFFLINE" if offline() else "HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else ""


def _is_commit(revision: str | None) -> bool:
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None
