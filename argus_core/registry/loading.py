"""Importing code of other packages: errors become one message, and prints stay out of the output."""

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
"""Where frames come from that a message leaves out."""


def debugging() -> bool:
    """Whether ARGUS_DEBUG=1 asks for original errors with their tracebacks."""
    return os.environ.get("ARGUS_DEBUG") == "1"


@contextlib.contextmanager
def shielded(what: str, hint: Callable[[], str] = str, through: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Run code of another package: what it raises, sys.exit included, becomes an ArgusError that begins with ``what``.

    Errors of the types ``through`` stay as they are, and with ARGUS_DEBUG=1 all do. ``hint`` gives a further sentence
    for the message. What the code prints goes to standard error, so that standard output contains only answers.
    """

    def say(error: BaseException) -> str:
        parts = (f"{what}: {describe_error(error)}", hint(), "set ARGUS_DEBUG=1 for the traceback")
        return "; ".join(filter(None, parts))

    with translated(say, through), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def translated(
    say: Callable[[BaseException], str], through: tuple[type[BaseException], ...] = (ArgusError,)
) -> Iterator[None]:
    """Turn what the block raises, sys.exit included, into an ArgusError with the text of ``say``; safe in threads.

    Errors of the types ``through`` stay as they are, and with ARGUS_DEBUG=1 all do.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if debugging() or isinstance(error, through):
            raise
        raise ArgusError(say(error)) from error


def describe_error(error: BaseException, file: str | None = None) -> str:
    """An error in one line: its type, its text, and the line of the module that was imported or function called.

    With ``file`` it is the last line of this file in the traceback instead.
    """
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} at {error.filename}:{error.lineno}"
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}){_place(error, file)}"
    text = str(error).strip().replace("\n", " ")
    return f"{type(error).__name__}{': ' if text else ''}{text}{_place(error, file)}"


def home_of(target: type) -> str | None:
    """The file that defines a class, if there is one."""
    return getattr(sys.modules.get(target.__module__), "__file__", None)


def import_object(value: str) -> Any:
    """The object of an entry point's value, ``module:attribute``."""
    name, _, attribute = value.partition("[")[0].strip().partition(":")
    with _same_folder(name):
        module = loaded = importlib.import_module(name.strip())
    for part in filter(None, attribute.strip().split(".")):
        try:
            loaded = getattr(loaded, part)
        except AttributeError as error:  # two packages may have a module of the same name: say which one this is
            raise AttributeError(f"{error} ({getattr(module, '__file__', None) or 'no file'})") from error
    return loaded


@contextlib.contextmanager
def _same_folder(module: str) -> Iterator[None]:
    """Restore the working directory, where results are written, if an import changes it."""
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
        lines = [line for code, line in steps if code.co_filename == file]
        return "".join(f" at {file}:{line}" for line in lines[-1:])
    foreign = [(code, line) for code, line in steps if not code.co_filename.startswith(_OURS)]
    modules = [(code, line) for code, line in foreign if code.co_name == "<module>"]
    return "".join(f" at {code.co_filename}:{line}" for code, line in modules[-1:] or foreign[:1])
