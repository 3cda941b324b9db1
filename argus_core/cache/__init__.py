"""Tokens on disk: written once, verified, read many times."""

from argus_core.cache.manifest import Cache
from argus_core.cache.reader import CacheSource
from argus_core.cache.spec import CacheSpec, DType, fingerprint
from argus_core.cache.verify import check_space, estimate, info, verify
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
