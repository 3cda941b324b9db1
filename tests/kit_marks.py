"""Which checks of built-in heads wait to be asked for."""

from __future__ import annotations

import os

import pytest

_LEFT_OUT = pytest.mark.skipif(
    "ARGUS_ALL_GRAPHS" not in os.environ,
    reason="tracing takes some 10 s of every head; ARGUS_ALL_GRAPHS=1 runs it, as does `arena check`",
)

FEW_GRAPHS = {"exports": _LEFT_OUT, "compiles": _LEFT_OUT}
"""For suites of heads that are much like those traced in every run (test_heads_conform.py)."""
