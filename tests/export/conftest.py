"""What exports leave in a process is freed before other tests run in it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _free_graphs() -> Iterator[None]:
    """Free traced graphs and sessions of inference engines at the end of a file.

    They refer to themselves, so without this they stay until the garbage collector happens to run: in any later test,
    on any of its threads. Runs of all tests in one process have crashed there.
    """
    yield
    torch._dynamo.reset()
    gc.collect()
