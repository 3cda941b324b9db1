"""The model a command works with."""

from __future__ import annotations

from pathlib import Path

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.license import require
from argus_core.options import parse_size


def open_model(model: str, device: str | None, canvas: str | None = None, license: str | None = None) -> Argus:
    """A saved Argus (folder or hub id) or the heads of a run; ``canvas`` puts them all on one pass."""
    import torch

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    argus = _runs(Path(model), place) if _is_run(Path(model)) else Argus.load(model, device=place)
    require(argus, license)
    if canvas is not None:
        height, width = parse_size(canvas)
        argus.canvas = Canvas(height, width)
    return argus


def _is_run(path: Path) -> bool:
    """Whether there are heads of a training run, and no model, at ``path``."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return path.is_dir() and not (path / "config.json").exists() and any(path.rglob("best.safetensors"))


def _runs(path: Path, device: str) -> Argus:
    from argus_core.trained import assemble

    return assemble([path], device=device)
