"""Sphinx configuration of the site (``make docs``)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pages

project = "Argus"
author = "The Argus authors"
copyright = author
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
templates_path = ["templates"]
exclude_patterns = ["_build", "templates"]
html_theme = "furo"
html_title = "Argus"
html_show_copyright = False
highlight_language = "none"
default_role = "code"
nitpicky = True
# Ignore types of other libraries, which have no inventory here, and types in signatures that are not public.
nitpick_ignore_regex = [(r"py:.*", r"(?!argus_).*"), (r"py:(class|data|obj)", r"argus_.*")]

myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

autosummary_ignore_module_all = False  # document what `__all__` lists
autosummary_context = {"homes": pages.homes()}
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "show-inheritance": True,
    "member-order": "bysource",
    "exclude-members": "model_config, model_post_init",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

MARKUP = re.compile(r"(``.+?``|`.+?`)(?=(\w?))|(?<!^)([*|]|(?<=\w)_(?!\w))")
"""Code with the character after it, or characters that reStructuredText reads as markup, but not list items."""


def write_pages(app: Sphinx, config: Config) -> None:
    """Write the generated pages before Sphinx looks for pages."""
    pages.write_pages(Path(app.srcdir) / "reference")


def rebase_links(app: Sphinx, docname: str, content: list[str]) -> None:
    """Point links to texts outside ``docs/`` at their pages of the site; the files keep the links for the code host."""
    source = Path(app.env.doc2path(docname))
    if source.suffix == ".md" and source.parent == Path(app.srcdir):
        content[0] = pages.rebased(content[0], source, source.parent)


def keep_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Make links to HTML files open them; Sphinx would offer a download."""
    for node in list(doctree.findall(addnodes.download_reference)):
        if node["reftarget"].endswith(".html"):
            node.replace_self(nodes.reference("", "", *node.children, refuri=node["reftarget"]))


def plain_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape markup in docstrings, which are plain text with code in backticks."""

    def escaped(match: re.Match[str]) -> str:
        code, after, mark = match.groups()
        return f"\\{mark}" if mark else code + ("\\ " if after else "")  # as in ``multiple``s

    if what == "data":
        lines[:] = variable_docstring(name)
    lines[:] = [MARKUP.sub(escaped, line) for line in lines]


def variable_docstring(name: str) -> list[str]:
    """The docstring of a variable of a package, which Sphinx only looks for in the package's own ``__init__``."""
    package, _, variable = name.rpartition(".")
    modules = sorted(module for module in sys.modules if f"{module}.".startswith(f"{package}."))
    docs = (ModuleAnalyzer.for_module(module).find_attr_docs() for module in modules)
    return next((lines["", variable] for lines in docs if ("", variable) in lines), [])


def setup(app: Sphinx) -> None:
    """Connect the functions above to the events of a build."""
    app.connect("config-inited", write_pages)
    app.connect("source-read", rebase_links)
    app.connect("doctree-read", keep_pages)
    app.connect("autodoc-process-docstring", plain_docstring)
