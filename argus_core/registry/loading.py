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

_OURS = (str(Path(__file__).parents[1]), str(Path(importlib.__file__).parent), "<frozen importlib")
"""Where frames lie that are no news in a traceback."""


def debugging() -> bool:
    """Whether ARGUS_DEBUG=1 asks for errors as they are."""
    return os.environ.get("ARGUS_DEBUG") == "1"


@contextlib.contextmanager
def shielded(what: str, hint: Callable[[], str] = str, through: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Run a stranger's code: what it raises, sys.exit included, becomes an ArgusError that begins with ``what``.

    Errors of the types ``through`` stay as they are.
    What it prints goes to standard error, so that standard output holds answers alone. ``hint`` is asked for
    a further sentence if it fails. KeyboardInterrupt passes, and with ARGUS_DEBUG=1 everything does.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if debugging() or isinstance(error, through):
            raise
        parts = (f"{what}: {told(error)}", hint(), "set ARGUS_DEBUG=1 for the traceback")
        raise ArgusError("; ".join(filter(None, parts))) from error


def told(error: BaseException, file: str | None = None) -> str:
    """An error in one line: its type, its text, and the line of the module that was imported or function called.

    With ``file`` that is the last line of this file that the error came through, if it did.
    """
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} at {error.filename}:{error.lineno}"
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}){_place(error, file)}"
    text = str(error).strip().replace("\n", " ")
    return f"{type(error).__name__}{': ' if text else ''}{text}{_place(error, file)}"


def home_of(target: type) -> str | None:
    """The file of the module that defines a class, if it has one."""
    return getattr(sys.modules.get(target.__module__), "__file__", None)


def import_object(value: str) -> Any:
    """The object that an entry point's value, ``module:attribute``, leads to."""
    name, _, attribute = value.partition("[")[0].strip().partition(":")
    with _same_folder(name):
        module = loaded = importlib.import_module(name.strip())
    for part in filter(None, attribute.strip().split(".")):
        try:
            loaded = getattr(loaded, part)
        except AttributeError as error:  # two packages may have a module of one name: say which was found
            raise AttributeError(f"{error} ({getattr(module, '__file__', None) or 'no file'})") from error
    return loaded


@contextlib.contextmanager
def _same_folder(module: str) -> Iterator[None]:
    """Go back to the working directory, where results are written, if an import leaves it."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # it was deleted
        yield
        return
    try:
        yield
    finally:
        if os.getcwd() != folder:
            os.chdir(folder)
            print(f"warning: importing {module} changed the working directory; it was changed back", file=sys.stderr)


def _place(error: BaseException, file: str | None) -> str:
    steps = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if file is not None:
        own = [line for code, line in steps if code.co_filename == file]
        return "".join(f" at {file}:{line}" for line in own[-1:])
    theirs = [(code, line) for code, line in steps if not code.co_filename.startswith(_OURS)]
    modules = [(code, line) for code, line in theirs if code.co_name == "<module>"]
    return "".join(f" at {code.co_filename}:{line}" for code, line in modules[-1:] or theirs[:1])
