"""What the documents promise is run: code blocks, packaging, hook signatures, links and commands."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import typer.main
from PIL import Image

from argus_arena.cli import app
from argus_arena.distill.recipe import DistillRecipe
from argus_arena.requests import make_request
from argus_core.cli.commands import app as argus_app
from argus_core.plugins.hooks import Hooks
from argus_core.registry import BACKBONES, HEADS, PROTOCOLS, TASKS
from argus_core.registry.registry import MODELS
from docs_text import PAGES, ROOT, blocks, dist_info

SLOW = ("writing-a-head", "shipping")
GROUPS = {registry.group for registry in (HEADS, BACKBONES, TASKS, PROTOCOLS, MODELS)} | {"argus.plugins"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page.stem in SLOW else ()) for page in PAGES],
    ids=lambda page: page.name,
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """Blocks that name a file become one, project files become installed packages; the rest run in order."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (96, 64), "peru").save("photo.jpg")
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "toml" and "name" in (project := toml(block).get("project", {})):
            dist_info(tmp_path, project)
    namespace = {}
    try:
        for block in blocks(page, "python"):
            if not block.file:
                exec(compile(block.text, str(page), "exec"), namespace)
    finally:
        for block in blocks(page, "python"):
            sys.modules.pop(block.file.removesuffix(".py"), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_toml_blocks_are_what_they_seem(page):
    """Configurations of runs and recipes of distillations are taken; a project file names groups that there are."""
    for block in blocks(page, "toml"):
        values = toml(block)
        if "stages" in values:
            DistillRecipe.model_validate(values)
        if "heads" in values:
            settings = values.pop("set", {})
            make_request({**values, "settings": settings})
        for group in values.get("project", {}).get("entry-points", {}):
            assert group in GROUPS, f"{page.name}: {group}"


def toml(block):
    return pytest.importorskip("tomllib", reason="needs Python 3.11").loads(block.text)


def test_every_hook_is_documented_as_it_is():
    live = {
        f"{name}{inspect.signature(hook)}".replace("self, ", "").replace("self", "").replace("'", "")
        for name, hook in vars(Hooks).items()
        if not name.startswith("_")
    }
    page = (ROOT / "docs/hooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### `(.*)`$", page, re.M)) == live


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize(("name", "program"), [("arena", app), ("argus", argus_app)])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_in_the_text_exist(page, name, program):
    command = typer.main.get_command(program)
    for line in re.findall(rf"\b{name} [a-z][^`\n]*", re.sub(r" \\\n\s*", " ", page.read_text(encoding="utf-8"))):
        words = line.split()[1:]
        found = command
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        assert found is not command or not line.count("--"), f"{page.name}: {line}"
        known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
            "--help"
        }
        used = {word.partition("=")[0].rstrip(".,)") for word in words if re.match(r"--[a-z]", word)}
        assert used <= known, f"{page.name}: {line}"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    """The dummy builder reads and resolves everything as `make docs` does, and writes no pages."""
    pytest.importorskip("sphinx", reason="the site needs the extra docs")
    built = ["-b", "dummy", "-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", *built], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = {page.relative_to(tmp_path / "doctrees").with_suffix("").as_posix() for page in tmp_path.rglob("*.doctree")}
    assert pages >= {page.stem for page in ROOT.glob("docs/*.md")}
    assert pages >= {"reference/readme", "reference/argus_core.canvas", "reference/argus_data.scenes"}
