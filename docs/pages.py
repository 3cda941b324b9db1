"""Pages that the site has and the folder has not: the public API, and the texts that lie outside ``docs/``.

They are written into ``docs/reference/`` while the site is built, and never committed.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGES = ("argus_core", "argus_data")
OUTSIDE = {
    "README.md": "readme",
    "CONTRIBUTING.md": "contributing",
    "CODE_OF_CONDUCT.md": "conduct",
    "CHANGELOG.md": "changelog",
    "benchmarks/README.md": "benchmarks",
    "plugins/argus_lite/recipes/README.md": "built-in-model",
}
"""Texts of the repository, by the name of their page in ``docs/reference/``."""
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def write_pages(folder: Path) -> None:
    """Fill ``folder``; pages that nothing stands behind any more are removed, unchanged ones are left alone."""
    texts = {
        f"{page}.md": rebased((ROOT / name).read_text(encoding="utf-8"), ROOT / name, folder)
        for name, page in OUTSIDE.items()
        if (ROOT / name).exists()
    }
    modules = list(public_modules())
    public = {f"{module.__name__}.{name}" for module in modules for name in module.__all__}
    texts |= {f"{module.__name__}.rst": module_page(module, public) for module in modules}
    texts["index.rst"] = index_page([module.__name__ for module in modules])
    folder.mkdir(parents=True, exist_ok=True)
    for old in {*folder.glob("*.md"), *folder.glob("*.rst")} - {folder / name for name in texts}:
        old.unlink()
    for name, text in texts.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def rebased(text: str, source: Path, folder: Path) -> str:
    """The Markdown of ``source`` with its links as they are seen from ``folder``; pages of the site stay such."""

    def link(match: re.Match[str]) -> str:
        return match[1] + site_path((source.parent / match[2]).resolve(), folder)

    return LINK.sub(link, text)


def site_path(target: Path, folder: Path) -> str:
    """How a page in ``folder`` names the file ``target``, which may have a page of its own here."""
    name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
    if name in OUTSIDE:
        target = DOCS / "reference" / f"{OUTSIDE[name]}.md"
    return Path(os.path.relpath(target, folder.resolve())).as_posix()


def public_modules() -> Iterator[ModuleType]:
    """Every module that says with ``__all__`` what others may use."""
    for package in PACKAGES:
        inner = [found.name for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
        for name in (package, *sorted(inner)):
            spec = find_spec(name)
            if spec and spec.origin and re.search(r"^__all__", Path(spec.origin).read_text(encoding="utf-8"), re.M):
                yield import_module(name)


def module_page(module: ModuleType, public: set[str]) -> str:
    """What a module holds; a name that another module makes ``public`` is only linked."""
    name = module.__name__
    homes = {each: _home(getattr(module, each), name) for each in module.__all__}
    passed = {each: home for each, home in homes.items() if home != name and f"{home}.{each}" in public}
    own = {each: getattr(module, each) for each in module.__all__ if each not in passed}
    # Sphinx finds variables only if a docstring stands below them.
    data = [each for each, value in own.items() if not isinstance(value, type) and not inspect.isroutine(value)]
    lines = [name, "=" * len(name), "", f".. automodule:: {name}"]
    if len(data) < len(own):
        lines += ["   :members:", "   :undoc-members:", "   :show-inheritance:", "   :member-order: bysource"]
        lines += [f"   :exclude-members: {', '.join([*passed, *data, 'model_config', 'model_post_init'])}"]
    for each in data:
        lines += ["", f".. autodata:: {name}.{each}", "   :no-value:"]
    if passed:
        lines += ["", "Defined elsewhere:", ""]
        lines += [f"* :py:obj:`{each} <{home}.{each}>` (``{home}``)" for each, home in sorted(passed.items())]
    return "\n".join(lines) + "\n"


def _home(value: object, name: str) -> str:
    """Where a value of the module ``name`` is defined; a function hidden by its module of the same name is in that."""
    return value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", name)


def index_page(names: list[str]) -> str:
    """The list of public modules."""
    title = "Public API"
    intro = "What is listed here may be relied on; everything else may change without notice (:doc:`/versions`)."
    rows = "\n".join(f"   {name}" for name in names)
    return f"{title}\n{'=' * len(title)}\n\n{intro}\n\n.. toctree::\n   :maxdepth: 1\n\n{rows}\n"
