"""The test matrix: `pipx run nox` runs the suite with the oldest, the locked and the newest dependencies."""

from __future__ import annotations

import nox

VERSIONS = {
    "oldest": ["--constraint", "constraints/oldest.txt"],
    "locked": ["--constraint", "constraints/ci.txt"],
    "newest": ["--upgrade"],
}


@nox.session
@nox.parametrize("versions", list(VERSIONS))
def tests(session: nox.Session, versions: str) -> None:
    """The fast tests; arguments after `--` go to pytest."""
    session.install(*VERSIONS[versions], "--editable", ".[dev]")
    session.run("pytest", "-n", "logical", "--dist", "loadfile", *(session.posargs or ["-m", "not slow"]))


@nox.session
def lint(session: nox.Session) -> None:
    """What `make lint` checks."""
    session.install(*VERSIONS["locked"], "--editable", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def extras(session: nox.Session) -> None:
    """Every extra alone, in an environment of its own; arguments after `--` name some of them."""
    session.install(*VERSIONS["locked"], "hatchling")
    session.run("python", "tests/extras_alone.py", *session.posargs)
