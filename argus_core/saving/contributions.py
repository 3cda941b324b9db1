"""What every sample adds to the scores of a row, in a file beside it, and the way back without code from the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from argus_core.common.files import file_sha256, write_atomic
from argus_core.common.options import check_options, options_model
from argus_core.common.places import as_local
from argus_core.errors import ArgusError
from argus_core.saving.build import task_from_dict, task_to_dict
from argus_core.tasks import Contributions, Metric, Task

FORMAT = "argus-contributions-1"
SUFFIX = ".contributions.safetensors"
KEYS = "keys"
"""The tensor that holds the keys of all samples, as a JSON list in UTF-8."""


def contributions_path(row: Path) -> Path:
    """The file beside a row, such as ``result.contributions.safetensors``."""
    return row.with_name(f"{row.name.removesuffix('.json')}{SUFFIX}")


def write_contributions(
    row: Path, kept: Contributions, task: Task, options: Mapping[str, Any], protocol: str
) -> dict[str, Any]:
    """Write the contributions of a row beside it; returns what the row says of the file: name, sha256, samples, bytes.

    ``options`` are those of the task's metric, ``protocol`` what its rules are called.
    """
    metadata = {"format": FORMAT, "task": task_to_dict(task), "options": dict(options), "protocol": protocol}
    keys = np.frombuffer(json.dumps(kept.keys).encode(), dtype=np.uint8)
    arrays = {name: np.ascontiguousarray(array) for name, array in kept.arrays.items()}
    path = contributions_path(row)

    def write(to: Path) -> None:
        to.touch()
        mode = to.stat().st_mode
        try:
            save_file({**arrays, KEYS: keys}, to, {"argus": json.dumps(metadata)})
        except SafetensorError as error:
            raise ArgusError(f"{path} cannot be written: {error}") from error
        to.chmod(mode)  # safetensors creates files that only their owner can read

    write_atomic(path, write)
    with as_local(path) as local:
        return {
            "file": path.name,
            "sha256": file_sha256(local),
            "samples": len(kept),
            "bytes": local.stat().st_size,
        }


def read_contributions(path: Path, sha256: str) -> tuple[Metric, Contributions]:
    """The contributions of a file of ``write_contributions``, and a metric of their rules that has seen nothing.

    Raises ArgusError for a file that is missing, damaged or not the one of ``sha256``, and where the code of its task
    is not installed.
    """
    try:
        with as_local(path) as local:
            if file_sha256(local) != sha256:
                raise ArgusError(f"{path} is not the file that the row names; score the head again")
            with safe_open(local, framework="np") as file:
                metadata = json.loads(file.metadata()["argus"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArgusError(f"{path} cannot be read ({error}); score the head again") from error
    if metadata.get("format") != FORMAT:
        raise ArgusError(f"{path} is no file of contributions (format {metadata.get('format')!r}, expected {FORMAT!r})")
    task = task_from_dict(metadata["task"])
    options = check_options(options_model(task.metric), metadata["options"], f"the metric of {task.name}")
    keys = tuple(json.loads(arrays.pop(KEYS).tobytes()))
    return task.metric(**options), Contributions(keys, arrays)
