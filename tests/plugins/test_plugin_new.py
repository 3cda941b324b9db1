"""What `arena plugin new` writes: complete packages that install, pass their own tests, and are refused in time."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from argus_arena.cli import app, main
from argus_arena.template.kinds import HEADS, KINDS, SOLVED, choose
from argus_arena.template.names import Names
from argus_arena.template.render import commands, render, write_project
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo

AUTHOR = 'Ann "Ada" Lee'
ALL = {
    **{task: ("head", task) for task in HEADS},
    **{f"solved-{task}": ("head", task, True) for task in SOLVED},
    **{kind: (kind, None) for kind in KINDS},
}
"""What is chosen, by a label."""
every = pytest.mark.parametrize("label", ALL)


def project(label):
    """A name, and the files that are written under it."""
    name = f"my-new.{label}"
    return name, render(choose(*ALL[label]), Names.of(name), AUTHOR)


@pytest.fixture
def new(monkeypatch, capsys, tmp_path):
    """``new("my-head --task segment")`` in an empty folder: exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARGUS_DEBUG", raising=False)

    def run(line, *more):
        monkeypatch.setattr(sys, "argv", ["arena", "plugin", "new", *line.split(), *more])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("task", [task for task in SOLVED if task != "classify"])
def test_a_solved_head_reads_the_layers_that_a_cache_of_a_pyramid_holds(task):
    name, files = project(f"solved-{task}")
    content: dict[str, Any] = {"__name__": "made"}
    exec(compile(files[f"my_new_solved_{task}/head.py"], "head.py", "exec"), content)
    cls = content[Names.of(name).cls]
    pyramid = FeatureInfo((16, 24, 40, 112, 320, 1280), (2, 4, 8, 16, 32, 32), stages=5)
    assert cls(pyramid, cls.solves.small()).needs.layers == (2, 3, 4)
    assert cls(FeatureInfo.vit(48), cls.solves.small()).needs.layers == (-1,)


@every
def test_a_package_is_complete_and_every_name_in_it_leads_somewhere(label):
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    name, files = project(label)
    module, task = f"my_new_{label.replace('-', '_')}", ALL[label][1]
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", f"{module}/py.typed"} <= set(files)
    assert ".github/workflows/test.yml" in files and any(path.startswith("tests/test_") for path in files)
    held = tomllib.loads(files["pyproject.toml"])["project"]
    assert held["name"] == name and held["authors"] == [{"name": AUTHOR}]
    assert held["dependencies"] == ["argus-perception>=0.1,<1"]
    points = [point for group in held["entry-points"].values() for point in group.items()]
    assert points and all(point.partition(".")[0] in (task, module) for point, _ in points)
    for _, value in points:
        path, _, attribute = value.partition(":")
        tree = ast.parse(files[f"{path.replace('.', '/')}.py"])
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert attribute in defined or not attribute
    if task:
        assert f'"{task}.{module}" = "{module}.head:{Names.of(name).cls}"' in files["pyproject.toml"]


@every
def test_no_field_is_left_open_and_files_stay_short(label):
    for path, text in project(label)[1].items():
        text = text.replace("${{ matrix.python }}", "")
        assert "$" not in text and "MODULE" not in text and "dot_" not in path, path
        assert len(text.splitlines()) <= 120, path
        if path.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), path


@every
def test_the_commands_that_it_tells_exist(label):
    given = commands(choose(*ALL[label]), Names.of("my-new"))
    assert any(line.startswith("arena ") for line in given)
    root = typer.main.get_command(app)
    for line in given:
        program, *words = line.split()
        found = root
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        known = {option for parameter in found.params for option in parameter.opts}
        assert program in ("arena", "cat") and (found is not root or program == "cat")
        assert {word for word in words if word.startswith("--")} <= known, line


def test_all_of_them_pass_the_linter_and_are_formatted(tmp_path):
    pytest.importorskip("ruff", reason="needs ruff")
    for label in ALL:
        name, files = project(label)
        write_project(tmp_path / name, files)
    for command in (("check", "--no-cache"), ("format", "--check", "--no-cache")):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_it_says_what_to_do_next(new, tmp_path):
    code, out, _ = new("my-new-head --task segment")
    assert code == 0
    assert "cd my-new-head\n" in out and "pip install -e '.[dev]'" in out and "arena check segment.my_new_head" in out
    assert (tmp_path / "my-new-head" / "my_new_head" / "head.py").is_file()


def test_the_author_is_given_or_known_to_git_or_the_authors(new, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    assert new("my-a --kind data")[0] == 0
    assert 'name = "The my-a authors"' in (tmp_path / "my-a/pyproject.toml").read_text()
    (tmp_path / "gitconfig").write_text("[user]\nname = Zoë Ångström\n", encoding="utf-8")
    assert new("my-b --kind data")[0] == 0
    assert "Zoë Ångström" in (tmp_path / "my-b/LICENSE").read_text(encoding="utf-8")
    assert new("my-c --kind data", "--author", "M. Mouse")[0] == 0
    assert "M. Mouse" in (tmp_path / "my-c/LICENSE").read_text()
    assert new("my-d --kind data", "--author", "two\nlines")[0] == 2
    assert not (tmp_path / "my-d").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("my-head", "give --task classify, segment, depth, detect, correspond"),
        ("my-head --task sgment", "there is one for classify, segment"),
        ("my-head --kind haed", "did you mean 'head'"),
        ("my-data --kind data --task segment", "is for heads only"),
        ("my-data --kind data --closed-form", "--closed-form is for heads only"),
        ("my-head --task correspond --closed-form", "nothing to solve"),
        ("my-head --closed-form", "give --task classify, segment, depth, detect"),
        ("-x- --task depth", ""),
        ("my_ --task depth", "letter or digit at both ends"),
        ("my/head --task depth", "letter or digit at both ends"),
        ("3d-head --task depth", "no Python identifier"),
        ("lambda --kind data", "a word of Python itself"),
        ("None --kind data", "a word of Python itself"),
        ("list --kind data", "a word of Python itself"),
        ("json --kind data", "would hide the module 'json'"),
        ("Torch --task depth", "would hide the module 'torch'"),
        ("argus.core --task depth", "would hide the module 'argus_core'"),
        ("argus-perception --task depth", "a package 'argus-perception' is installed"),
        ("tests --task depth", "every package has a folder 'tests'"),
        ("linear --task segment", "'segment.linear' is taken by"),
        ("tiny --kind backbone", "'tiny' is taken by"),
        ("segment --kind task", "'segment' is taken by"),
        ("scenes --kind data", "there is a data set 'scenes' already"),
        ("recipe --task segment", "gives 'Recipe', which recipe/head.py has for something else"),
        ("wrap --kind backbone", "gives 'wrap', which"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_reason(new, tmp_path, line, said):
    code, out, err = new(line)
    assert code == 2 and not out
    assert said in " ".join(err.split()) and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_anything_is_left_alone(new, tmp_path):
    (tmp_path / "my-head").mkdir()
    (tmp_path / "my-head" / "mine.txt").write_text("mine")
    code, _, err = new("my-head --task depth")
    assert code == 2 and "is not empty" in err
    assert [path.name for path in tmp_path.rglob("*")] == ["my-head", "mine.txt"]
    code, _, err = new("my-head --task depth --out my-head/mine.txt")
    assert code == 2 and "is a file" in err


def test_an_empty_folder_is_filled_and_missing_ones_are_made(new, tmp_path):
    (tmp_path / "empty").mkdir()
    for out in ("empty", "a/b"):
        assert new(f"my-head --task depth --out {out}")[0] == 0
        assert (tmp_path / out / "my_head" / "py.typed").is_file()


def test_it_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(OSError):
        write_project(tmp_path / "my-head", {"one": "text", "one/two": "no file can be in a file"})
    assert not list(tmp_path.iterdir())


def test_a_name_that_the_code_needs_is_found_in_every_file():
    with pytest.raises(ArgusError, match=r"'Counted', which counted/data\.py has for something else"):
        render(KINDS["task"], Names.of("counted"), AUTHOR)


def test_the_page_lists_every_kind_and_task():
    page = (Path(__file__).parents[2] / "docs/publishing-a-plugin.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == {"head", *KINDS}
    assert all(f"`{task}`" in page.replace("`--task ", "`") for task in HEADS)


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Folders of projects by kind, and where pip installed all of them."""
    source, site = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("site")
    found = {}
    for label in ALL:
        name, files = project(label)
        found[label] = source / name
        write_project(source / name, files)

    def install(*which):
        pip = ("pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site))
        folders = [str(found[one]) for one in which if not list(site.glob(f"my_new_{one.replace('-', '_')}-*"))]
        if folders:
            subprocess.run([sys.executable, "-m", *pip, *folders], check=True)
        return [found[one] for one in which], {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}

    return install


def own_tests(folder, env, *arguments, least=None):
    """Run a project's tests as its author would; returns how many passed, of paths in ``least`` at least so many."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, count in (least or {}).items():
        assert len(re.findall(rf"^{re.escape(path)}/.* PASSED", done.stdout, re.M)) >= count, done.stdout
    return int(re.search(r"(\d+) passed", done.stdout)[1])


def test_the_own_tests_of_a_head_pass(projects):
    (folder,), env = projects("segment")
    # Each of these three starts interpreters or compiles; the slow test below runs them.
    slow = "not import_hygiene and not exports and not compiles and not trained"
    assert own_tests(folder, env, "-k", slow) >= 15


def test_the_own_tests_of_a_data_set_pass(projects):
    (folder,), env = projects("data")
    assert own_tests(folder, env) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("traced", [True, False])
def test_the_own_tests_of_every_other_kind_pass(projects, traced):
    """In two processes for all, as each would import what any head imports."""
    # Tracing takes as long as all the rest; those of a head with two layers and of a new task's stand for the others.
    which = [each for each in ALL if each != "data" and (each in ("segment", "task")) == traced]
    folders, env = projects(*which)
    chosen = () if traced else ("-k", "not exports and not compiles")
    paths = [f"{folder.name}/tests" for folder in folders]
    settings = ("-c", str(folders[0] / "pyproject.toml"), "--rootdir", ".", "--import-mode", "importlib")
    assert own_tests(folders[0].parent, env, *settings, "-vv", *chosen, *paths, least=dict.fromkeys(paths, 4)) > 20
