"""The requests that commands take: a model per command, whose fields are its options.

``cli/options.py`` makes command lines of these models; a configuration file has the same keys. Torch is not imported.
"""

from argus_arena.requests.models import CacheRequest, Comparison, EvalRequest, Request, RunRequest
from argus_arena.requests.reading import check_names, given_options, make, make_request, read_toml

__all__ = [
    "CacheRequest",
    "Comparison",
    "EvalRequest",
    "Request",
    "RunRequest",
    "check_names",
    "given_options",
    "make",
    "make_request",
    "read_toml",
]
