"""Which checks of built-in heads are slow."""

from __future__ import annotations

import pytest

SLOW_GRAPHS = {"exports": pytest.mark.slow, "compiles": pytest.mark.slow}
"""Tracing takes some 10 s of every head; test_heads_conform.py traces one of each kind in every run."""
