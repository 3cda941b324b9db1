"""Heads, tasks and backbones of a Python file that no package has, named by where they are: ``./my_head.py:MyHead``."""

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
from typing import TYPE_CHECKING, Any

from argus_core.errors import ArgusError, unknown
from argus_core.registry.loading import debugging

if TYPE_CHECKING:
    from argus_core.registry import Registry


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


KINDS = ("head", "task", "backbone")
_SPEC = re.compile(r"(?P<path>.+\.py)(:(?P<name>[^:/\\]*))?", re.DOTALL)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def is_file_spec(text: str) -> bool:
    """Whether a text is ``PATH.py`` or ``PATH.py:OBJECT``, where a registered name could stand as well."""
    return _SPEC.fullmatch(text) is not None


def load_object(spec: str, kind: str | None = None) -> Any:
    """What a spec names: a Head class, a Task class or a function that makes a Backbone, or only one ``kind`` of them.

    Without a name it is the only one that the file itself defines. Raises ArgusError, with what there is to choose.
    """
    path, name = _split(spec)
    module = load_module(path)
    offered = _offered(module, kind)
    if name and not hasattr(module, name):
        raise unknown(f"object of {path}", name, offered)
    if name:
        return _checked(spec, getattr(module, name), kind, offered)
    if len(offered) != 1:
        found = f"defines {', '.join(offered)}" if offered else f"defines no {kind or 'head, task or backbone'}"
        raise ArgusError(f"{path} {found}; say which object is meant: {path}:NAME")
    return offered[next(iter(offered))]


def register_file(spec: str, kind: str | None = None) -> str:
    """Register what a spec names, and with a head its task if no package has that; returns the full name.

    A head is called by its task and its class in snake case, ``detect.my_head``; others by their own name. What an
    earlier text of the same file had registered is replaced. Raises ArgusError for a name that is taken.
    """
    target = load_object(spec, kind)
    if _kind(target) != "head":
        return _put(getattr(target, "name", target.__name__), target)
    task = target.solves
    if source_of(task) is not None or all(entry.name != task.name for entry in _registry(task).entries()):
        _put(task.name, task)
    return _put(f"{task.name}.{_WORDS.sub('_', target.__name__).lower()}", target)


def register_all(spec: str) -> list[str]:
    """Register the object that a spec names, or without a name all that its file defines; returns the full names."""
    path, name = _split(spec)
    names = [name] if name else list(_offered(load_module(path)))
    if not names:
        raise ArgusError(f"{path} defines no head, task or function that returns a Backbone")
    return [register_file(f"{path}:{name}") for name in names]


def resolve(text: str, kind: str) -> str:
    """A registered name as it is; for a file spec the name under which its object is registered now."""
    return register_file(text, kind) if is_file_spec(text) else text


def _split(spec: str) -> tuple[str, str]:
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ArgusError(f"{spec!r} does not name a Python file; write PATH.py or PATH.py:OBJECT")
    return match["path"], match["name"] or ""


def _offered(module: ModuleType, kind: str | None = None) -> dict[str, Any]:
    """What a file itself defines, imports left out; backbones are functions annotated to return one."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in public.items() if getattr(value, "__module__", "") == module.__name__}
    return {
        name: value
        for name, value in own.items()
        if _kind(value) in _wanted(kind) and not inspect.isabstract(value) and _makes_something(value)
    }


def _wanted(kind: str | None) -> tuple[str, ...]:
    return (kind,) if kind else KINDS


def _makes_something(value: Any) -> bool:
    """False for functions that do not say that they return a Backbone; these must be named to be one."""
    if isinstance(value, type):
        return True
    returned = inspect.signature(value).return_annotation
    return str(getattr(returned, "__name__", returned)).rpartition(".")[2] == "Backbone"


def _checked(spec: str, value: Any, kind: str | None, offered: Iterable[str]) -> Any:
    found = _kind(value)
    if found not in _wanted(kind):
        wanted = kind or "Head class, Task class or function that makes a Backbone"
        known = ", ".join(offered)
        raise ArgusError(f"{spec} is {value!r}, no {wanted}" + (f"; the file defines {known}" if known else ""))
    if inspect.isabstract(value):
        raise ArgusError(f"{spec} cannot be made: it does not define {', '.join(sorted(value.__abstractmethods__))}")
    return value


def _registry(target: Any) -> Registry:
    from argus_core.plugins.register import registry_of

    return registry_of(target)


def _kind(value: Any) -> str | None:
    """One of ``KINDS``, or None for what no file can offer."""
    try:
        return _registry(value).kind if isinstance(value, type) or inspect.isfunction(value) else None
    except ArgusError:
        return None


def _put(name: str, target: Any) -> str:
    """Register an object, in place of that of an earlier text of its file."""
    registry = _registry(target)
    held = next((entry for entry in registry.entries() if entry.name == name), None)
    if held is not None and held.value != f"{target.__module__}:{target.__qualname__}":
        raise ArgusError(
            f"{target.__name__} would be {registry.kind} {name!r}, which is taken by {held}; rename it in its file"
        )
    source = source_of(target)
    file = source[0].name if source else Path(inspect.getfile(target)).name
    registry.register(name, target, f"file {file}:{target.__name__}")
    return name
