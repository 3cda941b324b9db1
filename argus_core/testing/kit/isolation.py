"""The state of the process, which nothing under test may change, and assertions about what it raises."""

from __future__ import annotations

import contextlib
import os
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from argus_core.errors import ArgusError


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
    """The names of the settings that differ from a snapshot."""
    return [name for name, value in snapshot().items() if value != before[name]]


@contextlib.contextmanager
def unchanged_process(what: str) -> Iterator[None]:
    """AssertionError at the end if ``what`` changed a setting of the process."""
    before = snapshot()
    yield
    names = changed(before)
    assert not names, f"{what} changed the {', '.join(names)} of the process"


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Put back torch's settings and random state, so that one misbehaving head does not spoil the next check."""
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            if torch.are_deterministic_algorithms_enabled() != deterministic:
                torch.use_deterministic_algorithms(deterministic)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


@contextlib.contextmanager
def reported(what: str, advice: str) -> Iterator[None]:
    """Turn any exception into an AssertionError: ``WHAT raises ValueError`` and the advice."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{what} raises {type(error).__name__}{advice}") from error


def assert_refused(
    call: Callable[..., object], *arguments: Any, fault: str, errors: tuple[type[Exception], ...] = (ArgusError,)
) -> None:
    """AssertionError with the text ``fault`` unless the call raises one of ``errors``."""
    try:
        call(*arguments)
    except errors:
        return
    raise AssertionError(fault)
