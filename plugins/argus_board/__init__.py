"""A run's curves in TensorBoard, below RUN/tensorboard; without tensorboard (extra ``track``) nothing happens."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from argus_board.curves import Curves
from argus_board.following import Following


def _begin(run: Path, config: Mapping[str, Any]) -> Curves | None:
    return Curves(run / "tensorboard", config) if find_spec("tensorboard") is not None else None


_following = Following(_begin)
arena_started = _following.arena_started
arena_logged = _following.arena_logged
arena_finished = _following.arena_finished
