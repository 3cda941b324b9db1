"""The names of a new package and of its objects, and the names that cannot be used."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from argus_arena.template.kinds import Kind
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins
from argus_core.registry import Registry

PROJECT = re.compile(r"[A-Z0-9]([A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE)
"""A project's name as PEP 508 has it."""
OURS = ("tests",)
"""Folders that every new project has."""


@dataclass(frozen=True)
class Names:
    """``my-head`` on PyPI, ``my_head`` where it is imported, and ``MyHead`` for its class."""

    project: str
    module: str
    cls: str

    @classmethod
    def of(cls, project: str) -> Names:
        """The names that follow from a project's; raises ArgusError, with the reason, for an unusable one."""
        if not PROJECT.fullmatch(project):
            raise ArgusError(
                f"{project!r} cannot be the name of a package: use letters, digits, '-', '_' and '.', "
                "with a letter or digit at both ends, such as my-head"
            )
        module = re.sub(r"[-_.]+", "_", project).lower()
        names = cls(project, module, "".join(part.capitalize() for part in module.split("_")))
        if reason := _unusable(names):
            raise ArgusError(f"{project!r} cannot be the name of a package: {reason}; choose another, such as my-head")
        return names


def _unusable(names: Names) -> str:
    """Why the module could not be imported, or what it would hide; empty for a usable name."""
    module = names.module
    if not module.isidentifier():
        return f"{module!r} cannot be imported, as it is no Python identifier"
    if keyword.iskeyword(module) or keyword.iskeyword(names.cls) or hasattr(builtins, module):
        return f"{module!r} is a word of Python itself"
    if module in OURS:
        return f"every package has a folder {module!r} already"
    if module in sys.stdlib_module_names or _importable(module):
        return f"it would hide the module {module!r} that is installed here"
    if _installed(names.project):
        return f"a package {names.project!r} is installed here"
    return ""


def _importable(module: str) -> bool:
    """Whether there is such a module; a mere folder of that name, as where a project lies, is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def _installed(project: str) -> bool:
    try:
        distribution(project)
    except PackageNotFoundError:
        return False
    return True


def check_free(kind: Kind, names: Names) -> None:
    """Raise ArgusError if an installed package has one of the names that the new one would register."""
    instead = f"choose another name than {names.project!r}"
    for group, (name, _) in kind.points.items():
        wanted = name.replace("$module", names.module)
        for entry in Registry(group, "").entries():
            if entry.name == wanted:
                raise ArgusError(f"the name {wanted!r} is taken by {entry}; {instead}")
    if kind.offers_data and names.module in load_plugins().datasets():
        raise ArgusError(f"there is a data set {names.module!r} already; {instead}")
