"""The public API as the code has it and as ``public_api.json`` holds it; ``--write`` holds what the code has.

A module of ``argus_core`` or ``argus_data`` is public if and only if it has ``__all__``; public is what that lists.
"""

from __future__ import annotations

import ast
import json
import sys
from importlib import import_module
from pathlib import Path

import argus_core

ROOT = Path(__file__).resolve().parents[1]
HELD = Path(__file__).with_suffix(".json")
PACKAGES = {"argus_core": ROOT / "argus_core", "argus_data": ROOT / "plugins/argus_data"}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def public_files():
    """{module: its file} of the modules that have ``__all__``."""
    return {
        module_name(package, folder, path): path
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree(path).body)
    }


def file_of(module):
    """The source of a module, public or not."""
    package, _, rest = module.partition(".")
    path = PACKAGES[package].joinpath(*rest.split(".")) if rest else PACKAGES[package]
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def module_name(package, folder, path):
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join([package, *parts]).removesuffix(".__init__")


def current():
    """The API as the code has it now, as it is held."""
    names = {module: sorted(import_module(module).__all__) for module in sorted(public_files())}
    return {"api_version": argus_core.__api_version__, "names": names}


def held():
    """The API as it was promised."""
    return json.loads(HELD.read_text(encoding="utf-8"))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/public_api.py --write")
    HELD.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
