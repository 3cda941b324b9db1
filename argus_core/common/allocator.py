"""The memory allocator of a process that computes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SWITCH = "ARGUS_KEEP_MEMORY"
"""Environment variable: 0 leaves the allocator as the system has it."""
RESERVED = 4 << 30
"""Bytes of addresses, not of memory, that lie on huge pages once they are used."""
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
MADV_HUGEPAGE = 14


def keep_memory() -> bool:
    """Let glibc keep freed memory, in huge pages, instead of returning it to the system; returns whether it does.

    By default every block above 32 MiB is mapped anew, and each of its pages faults at the first touch. Nothing happens
    without glibc, with ``ARGUS_KEEP_MEMORY=0``, and where the environment chooses or sets up an allocator already.
    """
    if not _has_glibc() or _chosen():
        return False
    import ctypes  # costs milliseconds, which other systems are spared

    libc = ctypes.CDLL(None)
    # One arena: those of threads hold 64 MiB each and map what is larger.
    kept = all(libc.mallopt(*option) for option in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_ARENA_MAX, 1)))
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if kept and (block := libc.malloc(RESERVED)):
        page = os.sysconf("SC_PAGE_SIZE")
        first = -(-block // page) * page
        libc.madvise(first, (block + RESERVED - first) // page * page, MADV_HUGEPAGE)
        libc.free(block)
    return kept


def kept_bytes() -> int:
    """About how many bytes the process keeps for blocks to come; 0 where that cannot be known."""
    if not _has_glibc():
        return 0
    import ctypes

    class Information(ctypes.Structure):
        """glibc's ``mallinfo2``: ten sizes, of which the eighth is in use and the ninth is free."""

        _fields_ = (("sizes", ctypes.c_size_t * 10),)

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # before glibc 2.33
        return 0
    libc.mallinfo2.restype = Information
    used, free = map(int, libc.mallinfo2().sizes[7:9])
    resident, shared = map(int, Path("/proc/self/statm").read_text(encoding="ascii").split()[1:3])
    touched = (resident - shared) * os.sysconf("SC_PAGE_SIZE") - used
    return min(free, max(0, touched))  # most of what is free was never touched


def _has_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # another C library
        return False


def _chosen() -> bool:
    """Whether the user chose, or set up, the allocator."""
    return (
        os.environ.get(SWITCH) == "0"
        or bool(os.environ.get("LD_PRELOAD"))
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
        or any(name.startswith("MALLOC_") for name in os.environ)
    )
