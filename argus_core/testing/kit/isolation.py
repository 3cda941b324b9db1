"""What nothing under test may change: the state of the process around it."""

from __future__ import annotations

import contextlib
import os
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def snapshot() -> dict[str, Any]:
    """The process-wide settings by name, in values that compare with ``==``."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "thread count": torch.get_num_threads(),
        "grad mode": torch.is_grad_enabled(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "environment": dict(os.environ),
        "warning filters": list(warnings.filters),
        "random state of Python": random.getstate(),
        "random state of NumPy": repr(np.random.get_state(legacy=False)),
    }


def changed(before: dict[str, Any]) -> list[str]:
    """The names of what is no longer as it was."""
    return [name for name, value in snapshot().items() if value != before[name]]


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Put back torch's settings and random state, so that one misbehaving head does not spoil the next check."""
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
