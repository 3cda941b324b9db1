"""What goes wrong with the Hugging Face hub, in words: who refused what, and what to do."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors

from argus_core.errors import ArgusError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_GENERIC = (errors.LocalEntryNotFoundError, RuntimeError)
"""What the client raises around the error that tells."""
_REFUSED: tuple[tuple[type[Exception], str], ...] = (
    (errors.HFValidationError, "{error}; an id is OWNER/NAME, of letters, digits, '-', '_' and '.'"),
    (errors.GatedRepoError, "it is gated: ask for access at {page}, then {login}"),
    (errors.DisabledRepoError, "{endpoint} has disabled it"),
    (errors.RepositoryNotFoundError, "{endpoint} has no such repository, or it is private; check the name, or {login}"),
    (errors.RevisionNotFoundError, "it has no such revision; {page}/tree/main lists branches and tags"),
    (errors.EntryNotFoundError, "it has no such file; {page}/tree/main lists what it has"),
)
_STATUS = {
    401: "{endpoint} does not accept the token; {login} to one that is valid",
    403: "{endpoint} forbids it ({error}); {login} to a token that may do this, of an account that may",
    404: "{endpoint} has no such page ({error}); check the name and HF_ENDPOINT",
    409: "{endpoint} finds a conflict ({error}); look at {page}, and try again",
    412: "somebody changed {page} meanwhile; look at it, and try again",
    413: "{endpoint} finds it too large ({error})",
    407: "a proxy asks who you are; put name and password into HTTPS_PROXY",
    429: "{endpoint} has had too many requests from here; wait a few minutes, or {login}: accounts may ask more often",
}
_DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)
_OFFLINE = "HF_HUB_OFFLINE forbids any request; unset it"
_PROXY = (
    "what answers at {endpoint} is not the hub, perhaps a proxy or the page of a login; check HF_ENDPOINT and "
    "HTTPS_PROXY, and what a browser shows there"
)
_NETWORK = "{endpoint} cannot be reached ({error}); check the network, HTTPS_PROXY and HF_ENDPOINT"
_CACHE = "the hub's cache on this machine cannot be written ({error}); set HF_HUB_CACHE to a folder that can"


class HubError(ArgusError):
    """What was asked of the hub was refused."""


class Unavailable(HubError):
    """There is no answer of the hub that could be used now; one that was cached earlier may serve."""


@contextmanager
def hub_errors(task: str, repository: str) -> Iterator[None]:
    """Raise HubError for whatever the hub's client raises inside; its text begins with the ``task`` that failed."""
    try:
        yield
    except ArgusError:
        raise
    except Exception as error:  # the client raises errors of its transport libraries, and of the disk, too
        raise _in_words(_cause(error), task, repository) from error


def _cause(error: BaseException) -> BaseException:
    """The error that tells most: the one that a generic one was raised from."""
    while isinstance(error, _GENERIC) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _in_words(error: BaseException, task: str, repository: str) -> HubError:
    endpoint = constants.ENDPOINT
    kind, text = _kind(error)
    words = text.format(error=_line(error), endpoint=endpoint, page=f"{endpoint}/{repository}", login=LOG_IN)
    return kind(f"{task} failed: {words}")


def _kind(error: BaseException) -> tuple[type[HubError], str]:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    refused = next((text for kind, text in _REFUSED if isinstance(error, kind)), _STATUS.get(status))
    if refused:
        return Unavailable if status in (407, 429) else HubError, refused
    if status >= 500:
        return Unavailable, "{endpoint} fails ({error}); try again later"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Unavailable, _OFFLINE
    if isinstance(error, OSError) and error.errno in _DISK:
        return Unavailable, _CACHE
    if isinstance(error, json.JSONDecodeError | errors.FileMetadataError):
        return Unavailable, _PROXY
    if _of_transport(error):
        return Unavailable, _NETWORK
    return HubError, "{error}"


def _of_transport(error: BaseException) -> bool:
    """Whether no response came; the client's transport library is httpx in one version, httpx2 in another."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, ConnectionError | TimeoutError) or library in ("httpx", "httpx2", "httpcore", "httpcore2")


def _line(error: BaseException) -> str:
    """What the server said in words, else its status; of other errors their text, or their class, on one line."""
    response, said = getattr(error, "response", None), getattr(error, "server_message", None) or ""
    if response is not None:
        status = f"{response.status_code} {getattr(response, 'reason_phrase', '')}".strip()
        return status if not said or said.startswith("<") else said.splitlines()[0].rstrip(".")
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
