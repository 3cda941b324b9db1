"""The public API: held in a file, documented, typed, and all that plugins, heads and the pages need."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from types import MappingProxyType

import pytest

import public_api
from public_api import PACKAGES, ROOT, current, held, public_files, tree

API = {module: set(import_module(module).__all__) for module in public_files()}
NAMES = [(module, name) for module in sorted(API) for name in sorted(API[module])]
FIRST_PARTY = ("argus_core", "argus_data", "argus_heads", "argus_board", "argus_lite", "argus_arena")
WRITTEN_LIKE_STRANGERS = (
    *sorted((ROOT / "plugins").rglob("*.py")),
    *sorted((ROOT / "heads/argus_heads").glob("*.py")),
    *sorted((ROOT / "tests/third_party").rglob("*.py")),
)
"""Heads in ``experimental`` promise nothing themselves, and may use pieces that promise nothing."""
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
TEMPLATES = ROOT / "arena/argus_arena/template"
IMPORT = re.compile(r"^ *(from argus_\w[\w.]* import .+)$", re.M)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def first_party_imports(parsed):
    """(module, name) of imports from packages of this distribution; the name is empty for ``import module``."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] in FIRST_PARTY)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FIRST_PARTY:
            yield from ((node.module, alias.name) for alias in node.names)


def private(parsed, own=""):
    """Imports of names that no module lists; a package may use all of itself."""
    return [
        f"from {module} import {name}"
        for module, name in first_party_imports(parsed)
        if module.split(".")[0] != own and name not in API.get(module, ()) and f"{module}.{name}" not in API
    ]


def test_the_api_is_what_was_promised():
    assert current() == held(), (
        "the public API changed: docs/versions.md says what may change when; if this change may, run "
        "`python tests/public_api.py --write` and write a line into CHANGELOG.md"
    )


@pytest.mark.parametrize("path", WRITTEN_LIKE_STRANGERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_and_heads_import_public_names_only(path):
    own = next((package for package in FIRST_PARTY if package in path.parts), "")
    assert not private(tree(path), own)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_import_public_names_only(page):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert not [wrong for block in blocks for wrong in private(ast.parse(block))]


def test_templates_import_public_names_only():
    files = {path: path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.py.tmpl")}
    assert not [
        f"{path}: {line}" for path, text in files.items() for line in IMPORT.findall(text) if private(ast.parse(line))
    ]


def test_an_import_of_something_private_is_seen():
    code = "import argus_core.cache.job\nfrom argus_core.backbones.live import LiveSource\nfrom argus_arena import run"
    assert len(private(ast.parse(code))) == 3
    code = "from argus_core import Head, canvas\nfrom argus_core.canvas import Canvas\nfrom torch import Tensor"
    assert not private(ast.parse(code))


@pytest.mark.parametrize("module", sorted(API))
def test_a_public_module_says_what_it_is_for_and_what_its_names_are(module):
    assert is_sentence(import_module(module).__doc__)
    assert not [name for name in sorted(API[module]) if not is_sentence(document(module, name))]


@pytest.mark.parametrize("module", sorted(API))
def test_public_functions_and_methods_are_typed(module):
    functions = [
        (f"{name}.{inner}" if inner else name, function)
        for name in sorted(API[module])
        for inner, function in functions_of(getattr(import_module(module), name))
    ]
    assert not [name for name, function in functions if untyped(function)]


def functions_of(value):
    """A function itself, and the methods that a class of this distribution adds: without ``_`` or in ``__init__``."""
    if inspect.isfunction(value):
        return [("", value)]
    if not inspect.isclass(value) or value.__module__.split(".")[0] not in PACKAGES:
        return []
    methods = [(name, inspect.unwrap(getattr(each, "__func__", each))) for name, each in vars(value).items()]
    return [
        (name, each)
        for name, each in methods
        if inspect.isfunction(each) and (name == "__init__" or name[0] != "_") and each.__module__ in API
    ]


def untyped(function):
    """Whether the result or a parameter other than ``self`` and ``cls`` has no annotation."""
    found = inspect.signature(function)
    parameters = [each for each in found.parameters.values() if each.name not in ("self", "cls")]
    empty = inspect.Signature.empty
    return any(each.annotation is empty for each in parameters) or found.return_annotation is empty


def document(module, name):
    """A name's docstring; of a value the one below it in the source, or that of its own class."""
    value = getattr(import_module(module), name)
    if name == "__version__":
        return "The version of the distribution."
    if inspect.ismodule(value) or inspect.isclass(value) or inspect.isfunction(value):
        return value.__doc__
    return below(module, name) or (type(value).__doc__ if is_ours(value) else None)


def is_ours(value):
    return type(value).__module__.split(".")[0] in (*PACKAGES, "pluggy")


def below(module, name):
    """The docstring under the assignment of a value, in the module that it is imported from."""
    parsed = tree(public_api.file_of(module))
    for node, after in zip(parsed.body, [*parsed.body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in [target.id for target in targets if isinstance(target, ast.Name)] and isinstance(after, ast.Expr):
            return getattr(after.value, "value", None)
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            return below(node.module, name)
    return None


def is_sentence(text):
    """Whether a docstring has at least a first line that ends like a sentence."""
    return bool(text) and len(text.split()) >= 3 and bool(re.search(r"[.?!](\s|$)", text.strip()))


def test_types_of_the_api_reach_type_checkers():
    packages = [path.parent for path in (*ROOT.glob("argus_core/__init__.py"), *ROOT.glob("*/argus_*/__init__.py"))]
    assert len(packages) == len(FIRST_PARTY)
    assert not [folder.name for folder in packages if not (folder / "py.typed").exists()]


def test_what_is_listed_is_listed_once_and_cannot_be_changed_by_who_imports_it():
    for module in sorted(API):
        listed = import_module(module).__all__
        assert len(set(listed)) == len(listed), module
        values = [getattr(import_module(module), name) for name in listed]
        assert not [value for value in values if isinstance(value, dict) and not isinstance(value, MappingProxyType)]
