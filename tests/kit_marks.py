"""Which checks of built-in heads are slow."""

from __future__ import annotations

import pytest

SLOW_GRAPHS = {"exports": pytest.mark.slow, "compiles": pytest.mark.slow}
"""Tracing takes some 10 s of every head; test_heads_conform.py traces one of each kind in every run."""
ZOO_GRAPHS = {"exports": pytest.mark.graphs, "compiles": pytest.mark.graphs}
"""Experimental detectors take up to 30 s each: `make test-graphs`, outside CI, which has 20 minutes."""
