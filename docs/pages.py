"""Pages that are written into ``docs/reference/`` while the site is built, and never committed.

They are the texts of the repository outside ``docs/`` and the list of public modules. ``sphinx.ext.autosummary`` adds a
page for each of these modules, from ``docs/templates/autosummary/module.rst``.
"""

from __future__ import annotations

import json
import os
import re
from importlib import import_module
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OUTSIDE = {
    "README.md": "readme",
    "CONTRIBUTING.md": "contributing",
    "CODE_OF_CONDUCT.md": "conduct",
    "CHANGELOG.md": "changelog",
    "benchmarks/README.md": "benchmarks",
    "plugins/argus_lite/recipes/README.md": "built-in-model",
}
"""Texts outside ``docs/``, with the name of their page in ``docs/reference/``."""
API: dict[str, list[str]] = json.loads((ROOT / "tests/public_api.json").read_text(encoding="utf-8"))["names"]
"""The public names of each module."""
INDEX = """Public API
==========

Only these names may be relied on; everything else may change without notice (:doc:`/versions`).

.. autosummary::
   :toctree:

"""
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def write_pages(folder: Path) -> None:
    """Fill ``folder`` and remove outdated pages; unchanged pages keep their time, so that Sphinx skips them."""
    texts = {
        f"{page}.md": rebased((ROOT / name).read_text(encoding="utf-8"), ROOT / name, folder)
        for name, page in OUTSIDE.items()
        if (ROOT / name).exists()
    }
    texts["index.rst"] = INDEX + "".join(f"   {module}\n" for module in API)
    folder.mkdir(parents=True, exist_ok=True)
    for old in {*folder.iterdir()} - {folder / name for name in (*texts, *(f"{module}.rst" for module in API))}:
        old.unlink()
    for name, text in texts.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def rebased(text: str, source: Path, folder: Path) -> str:
    """The Markdown of ``source`` with its links rewritten for ``folder``."""

    def link(match: re.Match[str]) -> str:
        return match[1] + site_path((source.parent / match[2]).resolve(), folder)

    return LINK.sub(link, text)


def site_path(target: Path, folder: Path) -> str:
    """The path from ``folder`` to ``target``, or to its page if it is one of ``OUTSIDE``."""
    name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
    if name in OUTSIDE:
        target = DOCS / "reference" / f"{OUTSIDE[name]}.md"
    return Path(os.path.relpath(target, folder.resolve())).as_posix()


def homes() -> dict[str, dict[str, str]]:
    """The module that documents each name of each module: of those that list it, the one with the longest name."""
    values = {module: {name: getattr(import_module(module), name) for name in names} for module, names in API.items()}
    return {
        module: {
            name: max((other for other in API if values[other].get(name) is value), key=len)
            for name, value in names.items()
        }
        for module, names in values.items()
    }
