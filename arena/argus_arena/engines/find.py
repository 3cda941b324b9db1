"""Engines by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_arena.engines.engine import Engine
from argus_core.common.options import check_options, options_model
from argus_core.registry.loading import import_object

PLACES = {
    "local": "argus_arena.engines.engine:Local",
    "ray": "argus_arena.engines.ray:Ray",
    "slurm": "argus_arena.engines.slurm:Slurm",
}


def find_engine(name: str, options: Mapping[str, Any], out: Path) -> Engine:
    """The engine of that name for a command that writes into ``out``, not started yet.

    Raises ArgusError for an option that it does not have, and for a missing library with what to install.
    """
    engine = import_object(PLACES[name])
    return engine(out, **check_options(options_model(engine), options, f"engine {name!r}"))
