"""Tokens on disk: written once, verified, read many times."""

from argus_core.cache.estimate import check_space, estimate
from argus_core.cache.opened import Cache
from argus_core.cache.reader import CacheSource
from argus_core.cache.spec import CacheSpec, DType, fingerprint
from argus_core.cache.verify import info, verify
from argus_core.cache.writer import write_cache

__all__ = [
    "Cache",
    "CacheSource",
    "CacheSpec",
    "DType",
    "check_space",
    "estimate",
    "fingerprint",
    "info",
    "verify",
    "write_cache",
]
