"""One model of the heads of several runs, as a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from argus_core.argus import Argus
from argus_core.cli.opening import tell_missing
from argus_core.errors import ArgusError
from argus_core.license import require
from argus_core.trained import assemble


def build_model(
    runs: Sequence[Path],
    out: Path,
    weights: Path | None,
    which: str,
    variant: str | None,
    license: str | None,
    overwrite: bool,
) -> None:
    """Write the model to ``out``, which must not hold anything unless ``overwrite``, and print passes and names."""
    if not overwrite and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgusError(f"{out} exists already; choose another --out, or write into it with --overwrite")
    argus = assemble(runs, which, weights, "cpu", allow_missing=True)
    tell_missing(argus)
    require(argus, license)
    argus.save(out, variant=variant)
    print(argus.plan())
    print("heads: " + ", ".join(f"{name} ({argus.head(name).name})" for name in argus.heads))
    for name in _renamed(argus):
        print(f"notice: {name} has its task in front, as another run has a head of its name", file=sys.stderr)
    print(f"model: {out}")


def _renamed(argus: Argus) -> list[str]:
    """Heads called TASK_NAME where there is a NAME."""
    tasks = {name: argus.head(name).task.name for name in argus.heads}
    return [name for name, task in tasks.items() if any(name == f"{task}_{other}" for other in tasks)]
