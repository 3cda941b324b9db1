"""A Python file that belongs to no package, as a module: run once per text, with the folder it lies in on the path."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from argus_core.errors import ArgusError
from argus_core.importing import debugging

PREFIX = "argus_file_"


def load_module(path: str | Path) -> ModuleType:
    """Import a file; one whose text is as before gives the module it gave before, a changed one is run anew.

    Its folder goes to the end of ``sys.path``, so that modules beside it can be imported; those are imported once,
    and installed packages of their names come first. Raises ArgusError.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ArgusError(f"there is no file {path}; give the path of a Python file, as in ./my_head.py:MyHead")
    file = file.resolve()
    text = file.read_bytes()
    stem = re.sub(r"\W", "_", file.stem, flags=re.ASCII)
    name = f"{PREFIX}{stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    held = sys.modules.get(name)
    if held is not None and _digest(held) == hashlib.sha256(text).hexdigest():
        return held
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    return _run(name, file, text)


def source_of(target: Any) -> tuple[Path, str] | None:
    """The file that a class or function was loaded from by ``load_module``, and the sha256 of its text then."""
    module = sys.modules.get(getattr(target, "__module__", ""))
    if module is None or not module.__name__.startswith(PREFIX):
        return None
    return Path(str(module.__file__)), _digest(module)


def _digest(module: ModuleType) -> str:
    return str(vars(module)["__argus_sha256__"])


def _run(name: str, file: Path, text: bytes) -> ModuleType:
    """Execute a file as a module of that name; one that fails leaves what was there before."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module, held = importlib.util.module_from_spec(spec), sys.modules.get(name)
    vars(module)["__argus_sha256__"] = hashlib.sha256(text).hexdigest()
    sys.modules[name] = module  # dataclasses and pydantic look there for the names of annotations
    try:
        # Not by the loader: its compiled files cannot tell apart two texts of one size and second.
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers
            exec(compile(text, str(file), "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if held is not None:
            sys.modules[name] = held
        if not isinstance(error, Exception | SystemExit) or debugging():
            raise
        raise ArgusError(_fault(file, error)) from error
    return module


def _fault(file: Path, error: BaseException) -> str:
    """What went wrong, and in which line of the file."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    where = f"{file}:{lines[-1]}" if lines else str(file)
    return f"{where}: {type(error).__name__}: {error}; set ARGUS_DEBUG=1 for the traceback"
