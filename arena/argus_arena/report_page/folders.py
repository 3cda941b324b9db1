"""The folders of distillations, known without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.common.address import Address
from argus_core.common.files import read_json
from argus_core.errors import ArgusError


def find_stages(folders: Sequence[Path]) -> list[Path]:
    """The stages of distillations among some folders of this machine and in them, in the order of their recipes."""
    local = [folder for folder in folders if not isinstance(folder, Address)]
    found = {place: _number(place) for folder in local for place in (folder, *sorted(folder.glob("*")))}
    stages = [(place.parent, number, place) for place, number in found.items() if number is not None]
    return [place for _, _, place in sorted(stages)]


def _number(folder: Path) -> int | None:
    """Which stage of its recipe a folder holds, from 0; None if it holds something else."""
    try:
        run = read_json(folder / "run.json", "remove the folder")
        names = [stage["name"] for stage in run["config"]["stages"]]
        return names.index(run["identity"]["stage"]["name"])
    except (ArgusError, KeyError, TypeError, ValueError):
        return None
