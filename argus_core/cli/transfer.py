"""Transfers from and to the hub as commands show them: plain lines in a log, and warnings without a line of code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from argus_core.common.progress import working


@contextmanager
def transfer(what: str) -> Iterator[None]:
    """Show the work inside, which is called ``what``; on a terminal the hub's client has bars of its own."""
    plain = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if plain:
        disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as said, working(what) if plain else nullcontext():
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            yield
    finally:
        if plain:
            enable_progress_bars()
    for warning in said:
        print(f"warning: {warning.message}", file=sys.stderr)
