"""Object stores by fsspec: where they are, requests that are tried again, and errors that say what to do."""

from __future__ import annotations

import errno
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from argus_core.common.extras import need
from argus_core.common.offline import offline
from argus_core.errors import ArgusError, unknown

T = TypeVar("T")
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each further attempt. A store's library makes attempts of its own, which these come on top of."""
UNFINISHED = timedelta(days=1)
"""The age of parts of an object of which no process will send the others."""
_ANSWERS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, ArgusError)
_LASTING = (errno.EINVAL, errno.ENOSYS, errno.ENOSPC, errno.EACCES, errno.EPERM)
_LASTING_ANSWERS = (400, 401, 403, 404, 405)
"""Of a web server."""
_LASTING_NAMES = ("Credential", "Region", "ParamValidation", "Profile", "Permission")
_ADVICE = {
    "s3": "check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE), the region "
    "(AWS_DEFAULT_REGION) and, for a store that is not Amazon's, its address (AWS_ENDPOINT_URL)",
}


def file_system(scheme: str) -> Any:
    """The file system of a scheme such as ``s3``, one a process; raises ArgusError with what to install or to unset."""
    if offline() and scheme != "memory":
        raise ArgusError(f"{scheme}:// is not used, because ARGUS_OFFLINE forbids it; unset it, or give a folder")
    registry = need("fsspec.registry", "s3")
    if scheme not in registry.available_protocols():
        raise unknown("scheme of an address", scheme, registry.available_protocols())
    try:
        return registry.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        library = registry.known_implementations[scheme]["class"].partition(".")[0]
        install = "'argus-perception[s3]'" if scheme in ("s3", "s3a") else library
        raise ArgusError(f"{scheme}:// needs {library} ({error}): pip install {install}") from error


def patiently(address: object, request: Callable[[], T]) -> T:
    """The result of a request, tried again with growing waits while the store is busy or cannot be reached.

    Each further attempt is told on standard error. Raises FileNotFoundError and its like as they are, and ArgusError
    with what to check for anything that waiting does not mend.
    """
    for wait in (*WAITS, None):
        try:
            return request()
        except _ANSWERS:
            raise
        except Exception as error:
            if wait is None or _is_lasting(error):
                raise _refused(address, error) from error
            wait *= random.uniform(0.5, 1)  # so that many that were cut off at once do not return at once
            print(f"{address}: {_reason(error)}; trying again in {wait:.1f} s", file=sys.stderr)
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def clear_uploads(store: Any, key: str) -> None:
    """Remove parts of an object that killed processes sent; younger ones may be of another process at work."""
    if not hasattr(store, "list_multipart_uploads"):
        return
    bucket, name, _ = store.split_path(key)
    for upload in store.list_multipart_uploads(bucket):
        if upload["Key"] == name and datetime.now(timezone.utc) - upload["Initiated"] > UNFINISHED:
            store.abort_mpu(bucket, name, upload["UploadId"])


def _is_lasting(error: Exception) -> bool:
    """Whether waiting does not help: errors of Python itself are not of the network, unless the system raised them."""
    kind = type(error)
    if getattr(error, "status", None) in _LASTING_ANSWERS:
        return True
    if isinstance(error, OSError) and error.errno in _LASTING:
        return True
    if kind.__module__ == "builtins" and not isinstance(error, OSError):
        return True
    return any(name in kind.__name__ for name in _LASTING_NAMES)


def _refused(address: object, error: Exception) -> ArgusError:
    scheme = str(address).partition(":")[0]
    advice = _ADVICE.get(scheme, f"check the network, and the credentials that {scheme}:// takes")
    return ArgusError(f"{address}: the store refuses, or cannot be reached ({_reason(error)}); {advice}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
