"""Heads, tasks and backbones from a single Python file, named by its path: ``./my_head.py:MyHead``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from argus_core.errors import ArgusError, unknown
from argus_core.plugins.register import registry_of
from argus_core.registry.loading import debugging

PREFIX = "argus_file_"
KINDS = ("head", "task", "backbone")
_SPEC = re.compile(r"(?P<path>.+\.py)(:(?P<name>[^:/\\]*))?", re.DOTALL)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def load_module(path: str | Path) -> ModuleType:
    """Import a file as a module; a file with the same text as before gives the same module, a changed one runs again.

    Its folder is appended to ``sys.path``, so that it can import modules beside it; these are imported only once, and
    installed packages of the same name take precedence. Raises ArgusError.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ArgusError(f"there is no file {path}; give the path of a Python file, as in ./my_head.py:MyHead")
    file = file.resolve()
    text = file.read_bytes()
    stem = re.sub(r"\W", "_", file.stem, flags=re.ASCII)
    name = f"{PREFIX}{stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    loaded = sys.modules.get(name)
    if loaded is not None and _digest(loaded) == hashlib.sha256(text).hexdigest():
        return loaded
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    return _run(name, file, text)


def source_of(target: Any) -> tuple[Path, str] | None:
    """The file from which ``load_module`` loaded a class or function, and the sha256 of its text at that time."""
    module = sys.modules.get(getattr(target, "__module__", ""))
    if module is None or not module.__name__.startswith(PREFIX):
        return None
    return Path(str(module.__file__)), _digest(module)


def _digest(module: ModuleType) -> str:
    return str(vars(module)["__argus_sha256__"])


def _run(name: str, file: Path, text: bytes) -> ModuleType:
    """Execute a file as a module of that name; if it fails, the previous module stays in place."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module, previous = importlib.util.module_from_spec(spec), sys.modules.get(name)
    vars(module)["__argus_sha256__"] = hashlib.sha256(text).hexdigest()
    sys.modules[name] = module  # dataclasses and pydantic look up the names of annotations there
    try:
        # Not by the loader, whose cached bytecode confuses two texts of the same size and second.
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers
            exec(compile(text, str(file), "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if previous is not None:
            sys.modules[name] = previous
        if not isinstance(error, Exception | SystemExit) or debugging():
            raise
        raise ArgusError(_describe(file, error)) from error
    return module


def _describe(file: Path, error: BaseException) -> str:
    """What went wrong, and in which line of the file."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    where = f"{file}:{lines[-1]}" if lines else str(file)
    return f"{where}: {type(error).__name__}: {error}; set ARGUS_DEBUG=1 for the traceback"


def is_file_spec(text: str) -> bool:
    """Whether a text is ``PATH.py`` or ``PATH.py:OBJECT``, as opposed to a registered name."""
    return _SPEC.fullmatch(text) is not None


def load_object(spec: str, kind: str | None = None) -> Any:
    """The object that a spec names: a Head class, a Task class or a function that makes a Backbone, of ``kind`` if set.

    Without a name it is the only such object that the file itself defines. Raises ArgusError with the possible names.
    """
    path, name = _split(spec)
    module = load_module(path)
    objects = _objects(module, kind)
    if name and not hasattr(module, name):
        raise unknown(f"object of {path}", name, objects)
    if name:
        _check(spec, getattr(module, name), kind, objects)
        return getattr(module, name)
    if len(objects) != 1:
        what = f"defines {', '.join(objects)}" if objects else f"defines no {kind or 'head, task or backbone'}"
        raise ArgusError(f"{path} {what}; say which object is meant: {path}:NAME")
    return objects[next(iter(objects))]


def register_file(spec: str, kind: str | None = None) -> str:
    """Register the object that a spec names, and the task of a head if no package has it; returns the full name.

    A head is named by its task and its class in snake case, ``detect.my_head``; other objects by their own name. An
    object that an earlier version of the file registered is replaced. Raises ArgusError for a name that is taken.
    """
    target = load_object(spec, kind)
    if _kind(target) != "head":
        return _register(getattr(target, "name", target.__name__), target)
    task = target.solves
    if source_of(task) is not None or all(entry.name != task.name for entry in registry_of(task).entries()):
        _register(task.name, task)
    return _register(f"{task.name}.{_WORDS.sub('_', target.__name__).lower()}", target)


def register_all(spec: str) -> list[str]:
    """Register the object that a spec names, or without a name all objects of its file; returns the full names."""
    path, name = _split(spec)
    names = [name] if name else list(_objects(load_module(path)))
    if not names:
        raise ArgusError(f"{path} defines no head, task or function that returns a Backbone")
    return [register_file(f"{path}:{name}") for name in names]


def resolve(text: str, kind: str) -> str:
    """A registered name as it is; for a file spec, register its object and return that name."""
    return register_file(text, kind) if is_file_spec(text) else text


def _split(spec: str) -> tuple[str, str]:
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ArgusError(f"{spec!r} does not name a Python file; write PATH.py or PATH.py:OBJECT")
    return match["path"], match["name"] or ""


def _objects(module: ModuleType, kind: str | None = None) -> dict[str, Any]:
    """The objects of one ``kind``, or all, that a file itself defines and does not import."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and _kind(value) in ((kind,) if kind else KINDS)
        and not inspect.isabstract(value)
        and (isinstance(value, type) or _returns_backbone(value))
    }


def _returns_backbone(function: Any) -> bool:
    """Whether a function is annotated to return a Backbone; a function that is not can only be named explicitly."""
    returned = inspect.signature(function).return_annotation
    return str(getattr(returned, "__name__", returned)).rpartition(".")[2] == "Backbone"


def _check(spec: str, value: Any, kind: str | None, names: Iterable[str]) -> None:
    """Raise ArgusError unless an object can be registered, as ``kind`` if it is given; ``names`` are the other ones."""
    if _kind(value) not in ((kind,) if kind else KINDS):
        expected = kind or "Head class, Task class or function that makes a Backbone"
        known = ", ".join(names)
        raise ArgusError(f"{spec} is {value!r}, no {expected}" + (f"; the file defines {known}" if known else ""))
    if inspect.isabstract(value):
        raise ArgusError(f"{spec} cannot be made: it does not define {', '.join(sorted(value.__abstractmethods__))}")


def _kind(value: Any) -> str | None:
    """The kind that an object of a file would be registered as, or None."""
    try:
        return registry_of(value).kind if isinstance(value, type) or inspect.isfunction(value) else None
    except ArgusError:
        return None


def _register(name: str, target: Any) -> str:
    """Register an object, in place of one from an earlier version of its file."""
    registry = registry_of(target)
    taken = next((entry for entry in registry.entries() if entry.name == name), None)
    if taken is not None and taken.value != f"{target.__module__}:{target.__qualname__}":
        raise ArgusError(
            f"{target.__name__} would be {registry.kind} {name!r}, which is taken by {taken}; rename it in its file"
        )
    source = source_of(target)
    file = source[0].name if source else Path(inspect.getfile(target)).name
    registry.register(name, target, f"file {file}:{target.__name__}")
    return name
