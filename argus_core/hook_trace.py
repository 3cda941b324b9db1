"""Hook calls told on standard error, for whoever wonders which plugin heard what."""

from __future__ import annotations

import os
import reprlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 60


def traced(hook: str, plugin: str, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call ``function(**values)``; with ARGUS_TRACE_HOOKS=1 tell what was called, how long it took and what came."""
    if os.environ.get("ARGUS_TRACE_HOOKS") != "1":
        return function(**values)
    outcome = ""
    start = time.perf_counter()
    try:
        result = function(**values)
        outcome = f"returned {_SHORT.repr(result)}"
        return result
    except BaseException as error:
        outcome = f"raised {type(error).__name__}: {error}"
        raise
    finally:
        took = (time.perf_counter() - start) * 1000
        given = ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in values.items())
        print(f"hook {hook}({given}) of {plugin} {outcome} in {took:.1f} ms", file=sys.stderr)
