"""What the documents hold: pages, their code blocks, and the commands in these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROGRAMS = ("arena", "argus", "make", "pip", "python", "pytest", "torchrun", "twine", "git", "cd", "export")
PROGRAM = re.compile(rf"^((?:[A-Z_]+=\S* +)*)({'|'.join(PROGRAMS)}|\.ci/\w+|\.venv/\S+)(?= |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, an empty text if it says none, and what stands in it."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block is: its first line may be a comment that names one, as in ``# my_head.py``."""
        named = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.text)
        return named[1] if named else ""

    def commands(self) -> Iterator[str]:
        """Lines that call one of the programs, without comments; lines that go on are joined."""
        lines = [re.sub(r"^\$ |\s+# .*", "", line) for line in re.sub(r" *\\\n\s*", " ", self.text).splitlines()]
        shell = self.language in ("", "bash", "console", "sh", "shell")
        return (line for line in lines if shell and PROGRAM.match(line))


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order; only those of ``language``, if one is given."""
    found = re.findall(r"^```([^\n`]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [Block(name.strip(), text) for name, text in found if language in (None, name.strip())]


def dist_info(folder: Path, project: dict) -> None:
    """What pip leaves of a project file: its name, version and entry points."""
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".format(**project))
    lines = [
        line
        for group, points in project.get("entry-points", {}).items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
