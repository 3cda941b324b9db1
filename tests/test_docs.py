"""What the documents promise is run: code blocks, packaging, hook signatures, links and commands."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
import typer.main

from argus_arena.cli import app
from argus_core.cli import app as argus_app
from argus_core.hooks import Hooks

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def dist_info(folder, toml):
    """What pip leaves of a project file: its name, version and entry points."""
    info = folder / f"{toml['project']['name']}-{toml['project']['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".format(**toml["project"])
    )
    lines = [
        line
        for group, points in toml["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def test_the_code_in_writing_a_head_runs(tmp_path, monkeypatch):
    """The first block becomes a module, the project file an installed package; the rest run in order."""
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    page = ROOT / "docs/writing-a-head.md"
    module, *code = blocks(page, "python")
    (tmp_path / module.splitlines()[0].removeprefix("# ")).write_text(module)
    dist_info(tmp_path, tomllib.loads(blocks(page, "toml")[0]))
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = {}
    try:
        for block in code:
            exec(compile(block, str(page), "exec"), namespace)
    finally:
        sys.modules.pop("point_head", None)
    assert {"faults", "test_point", "predictions"} <= set(namespace)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "writing-a-head.md"], ids=lambda page: page.name
)
def test_other_code_blocks_run(page):
    namespace = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)


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
