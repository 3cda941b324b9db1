"""Imports of strangers' code: what goes wrong becomes one message, and what it prints stays out of the output."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError

_OURS = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen importlib")
"""Where frames lie that are no news in a traceback."""


def debugging() -> bool:
    """Whether ARGUS_DEBUG=1 asks for errors as they are."""
    return os.environ.get("ARGUS_DEBUG") == "1"


@contextlib.contextmanager
def shielded(what: str, hint: Callable[[], str] = str) -> Iterator[None]:
    """Run a stranger's code: what it raises, sys.exit included, becomes an ArgusError that begins with ``what``.

    What it prints goes to standard error, so that standard output holds answers alone. ``hint`` is asked for
    a further sentence if it fails. KeyboardInterrupt passes, and with ARGUS_DEBUG=1 everything does.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if debugging():
            raise
        parts = (f"{what}: {told(error)}", hint(), "set ARGUS_DEBUG=1 for the traceback")
        raise ArgusError("; ".join(filter(None, parts))) from error


def told(error: BaseException) -> str:
    """An error in one line: its type, its text, and the line of the module that was imported or function called."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} at {error.filename}:{error.lineno}"
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}){_place(error)}"
    text = str(error).strip().replace("\n", " ")
    return f"{type(error).__name__}{': ' if text else ''}{text}{_place(error)}"


def import_object(value: str) -> Any:
    """The object that an entry point's value, ``module:attribute``, leads to."""
    name, _, attribute = value.partition("[")[0].strip().partition(":")
    module = loaded = importlib.import_module(name.strip())
    for part in filter(None, attribute.strip().split(".")):
        try:
            loaded = getattr(loaded, part)
        except AttributeError as error:  # two packages may have a module of one name: say which was found
            raise AttributeError(f"{error} ({getattr(module, '__file__', None) or 'no file'})") from error
    return loaded


def _place(error: BaseException) -> str:
    steps = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    theirs = [(code, line) for code, line in steps if not code.co_filename.startswith(_OURS)]
    modules = [(code, line) for code, line in theirs if code.co_name == "<module>"]
    return "".join(f" at {code.co_filename}:{line}" for code, line in modules[-1:] or theirs[:1])
