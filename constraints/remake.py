"""Write the constraint files anew from `pyproject.toml`: `pip install uv`, then `python constraints/remake.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"
# What the build of torch that an index offers decides: a pin would forbid all others.
FREE = re.compile(r"(torch|torchvision|triton|setuptools|nvidia-[\w-]+|cuda-[\w-]+)==")
LINE = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<bound>[\w.]+)(?P<marker>;.*)?")


def declared() -> list[str]:
    """Every requirement of the project and its extras, as written; those on the project itself excepted."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return [one for one in listed if not one.startswith(f"{project['name']}[")]


def oldest() -> str:
    """The lower bounds as exact versions; a requirement without exactly one lower bound is a `ValueError`."""
    lines = []
    for requirement in declared():
        found = LINE.fullmatch(requirement)
        if found is None:
            raise ValueError(f"{requirement!r} in {PROJECT} is not NAME>=VERSION")
        lines.append("{name}=={bound}{marker}".format(**found.groupdict("")))
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def newest() -> str:
    """What the index gives today for the extra `dev`, on any platform and any Python that the project allows."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--universal",
        "--python-version",
        "3.10",
        "--extra",
        "dev",
    ]
    command += ["--no-annotate", "--no-header", "--quiet", str(PROJECT)]
    pins = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return "\n".join(pin for pin in pins if not FREE.match(pin)) + "\n"


if __name__ == "__main__":
    (HERE / "oldest.txt").write_text(oldest(), encoding="utf-8")
    (HERE / "ci.txt").write_text(newest(), encoding="utf-8")
