"""The files of a new package: templates of ``files/`` with the names put in, written whole or not at all."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from string import Template

from argus_arena.template.kinds import Kind
from argus_arena.template.names import Names
from argus_core.errors import ArgusError

FILES = Path(__file__).parent / "files"
SUFFIX = ".tmpl"
"""Of a template's file, so that no tool takes it for the source that it will become."""


def render(kind: Kind, names: Names, author: str) -> dict[str, str]:
    """The text of every file by its path in the project, with forward slashes.

    Raises ArgusError for an author of several lines, and for a name that the code of the package has taken.
    """
    if not author.isprintable():
        raise ArgusError(f"the author {author!r} must be one line of text; give --author NAME")
    fields = fields_of(kind, names, author)
    files: dict[str, str] = {}
    for folder in ("common", *kind.folders):
        for path, text in _templates(FILES / folder):
            files[path.replace("MODULE", names.module)] = Template(text).substitute(fields)
    for path, text in files.items():
        if path.endswith(".py"):
            _check_bindings(path, text, names)
    return files


def fields_of(kind: Kind, names: Names, author: str) -> dict[str, str]:
    """What templates may name, as in ``$module``."""
    own = {"project": names.project, "module": names.module, "cls": names.cls, "data": kind.data}
    own["data"] = Template(kind.data).substitute(own)
    own["name"] = Template(kind.registered).substitute(own)
    own["label"] = own["name"].rpartition(".")[2]  # what a run calls the head
    return own | {
        "summary": kind.summary,
        "about": kind.about,
        "author": author,
        "author_quoted": json.dumps(author, ensure_ascii=False),  # a TOML string too
        "year": str(date.today().year),
        "entries": Template(_entries(kind)).substitute(own),
        "use": "```\n" + "\n".join(commands(kind, names)) + "\n```",
    }


def commands(kind: Kind, names: Names) -> list[str]:
    """What a user tries first, as command lines."""
    own = {"module": names.module, "cls": names.cls}
    own["name"] = Template(kind.registered).substitute(own)
    return [Template(line).substitute(own) for line in kind.commands]


def _entries(kind: Kind) -> str:
    tables = (f'[project.entry-points."{group}"]\n"{name}" = "{value}"' for group, (name, value) in kind.points.items())
    return "\n\n".join(tables)


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Every template below a folder: the path that its file will have, and its text."""
    for file in sorted(folder.rglob(f"*{SUFFIX}")):
        parts = [re.sub("^dot_", ".", part) for part in file.relative_to(folder).parts]
        yield "/".join(parts).removesuffix(SUFFIX), file.read_text(encoding="utf-8")


def _check_bindings(path: str, text: str, names: Names) -> None:
    """Raise ArgusError if the user's names are ones that the file imports or defines for something else."""
    bound: Counter[str] = Counter()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            bound[node.name] += 1
        elif isinstance(node, ast.Assign):
            bound.update(target.id for target in node.targets if isinstance(target, ast.Name))
    for name in (names.module, names.cls):
        if bound[name] > 1:
            raise ArgusError(
                f"{names.project!r} gives {name!r}, which {path} has for something else; choose another name"
            )


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write ``files`` (text by path) as ``folder``; raises ArgusError if it is there and holds anything."""
    if folder.exists() and not folder.is_dir():
        raise ArgusError(f"{folder} is a file; give another place with --out DIR")
    if folder.is_dir() and any(folder.iterdir()):
        raise ArgusError(f"{folder} is not empty; remove it, or give another place with --out DIR")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        for path, text in files.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        if folder.is_dir():
            folder.rmdir()  # empty; not every system renames onto a folder
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def git_author() -> str:
    """The name in git's configuration; empty if there is none, or no git."""
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
