"""One head in one safetensors file, with everything needed to use it again in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from argus_core.canvas import Canvas
from argus_core.common.files import read_json
from argus_core.common.places import as_local, place
from argus_core.common.tensors import tensors_sha256, write_tensors
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.registry import HEADS, TASKS
from argus_core.saving.build import head_class, registered_head, task_from_dict, task_to_dict
from argus_core.saving.origin import Origin, check_api, check_installed, differs, origin_of, trained_on
from argus_core.tasks import Calibration
from argus_core.tokens import FeatureInfo
from argus_core.version import API_VERSION

FORMAT = "argus-head-1"
SCORE_FIELDS = (
    *("protocol", "primary", "higher_is_better", "metrics", "calibration"),
    *("framing", "data", "notes", "versions"),
)


def save_head(path: Path, head: Head, record: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
    """Write ``tensors`` (default: the head's own) and how to rebuild the head; ``record`` is kept beside it."""
    metadata = {
        "format": FORMAT,
        "api_version": API_VERSION,
        "origin": {"head": origin_of(HEADS, head.name), "task": origin_of(TASKS, head.task.name)},
        "head": head.name,
        "options": head.options,
        "task": task_to_dict(head.task),
        "info": head.info.to_dict(),
        "calibration": head.calibration and head.calibration.to_dict(),
        "record": dict(record),
    }
    write_tensors(path, tensors or head.state_dict(), {"argus": json.dumps(metadata)})


def load_head(path: str | Path) -> tuple[Head, dict[str, Any]]:
    """Rebuild a saved head in eval mode; returns it with its record. Runs no code from the file.

    Raises NotInstalled, which says what to install, if the code of the head or of its task is not here.
    """
    path = place(path)
    metadata, state = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise ArgusError(f"{path} is not a saved head (format {metadata.get('format')!r}, expected {FORMAT!r})")
    check_api(metadata.get("api_version", ""), str(path))
    origin = metadata.get("origin", {})  # missing from files of the first version
    check_code(metadata["head"], metadata["task"], origin.get("head", {}), origin.get("task", {}), str(path))
    head = rebuild_head(
        metadata["head"], metadata["options"], metadata["task"], FeatureInfo.from_dict(metadata["info"])
    )
    load_state(head, state, str(path), differs(origin.get("head", {})))
    record = metadata["record"]
    canvas = record.get("tokens", {}).get("canvas")
    head.canvas = Canvas(**canvas) if canvas else None
    head.backbone_sha256 = trained_on(record)
    head.calibration = Calibration(**values) if (values := metadata.get("calibration")) else None
    scores = _read_scores(path, tensors_sha256(state))
    head.record = {**record, **({"scores": scores} if scores else {})}
    return head.eval(), record


def check_code(head: str, task: Mapping[str, Any], head_origin: Origin, task_origin: Origin, where: str = "") -> None:
    """Raise NotInstalled unless the classes of a saved head and of its task can be imported."""
    check_installed(HEADS, head, head_origin, where)
    check_installed(TASKS, str(task.get("task")), task_origin, where)


def rebuild_head(name: str, options: Mapping[str, Any], task: Mapping[str, Any], info: FeatureInfo) -> Head:
    """A saved head, without its weights."""
    return registered_head(name, info, task_from_dict(task), head_class(name).restore_options(options))


def load_state(head: Head, state: Mapping[str, Tensor], where: str, cause: str = "") -> None:
    """Load weights strictly; the error names the head, the keys that do not fit and the likely ``cause``."""
    head.make_room(state)
    own = head.state_dict()
    faults = [f"missing {key}" for key in own if key not in state]
    faults += [f"unexpected {key}" for key in state if key not in own]
    faults += [
        f"{key} is {tuple(state[key].shape)}, the head has {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and value.shape != state[key].shape
    ]
    if faults:
        listed = "; ".join(faults[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
        raise ArgusError(
            f"{where} does not fit head {head.name!r}: {listed}; "
            f"{cause or 'was it saved by another version or option?'}"
        )
    head.load_state_dict(dict(state))


def read_tensors(path: Path, skip: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's ``argus`` metadata and tensors, but for those whose names start with ``skip``."""
    if not path.is_file():
        raise ArgusError(f"there is no file {path}; save or fetch it again")
    try:
        with as_local(path) as local, safe_open(local, framework="pt") as file:
            keys = [key for key in file.keys() if skip is None or not key.startswith(skip)]  # noqa: SIM118
            metadata = json.loads((file.metadata() or {}).get("argus", "{}"))
            return metadata, {key: file.get_tensor(key) for key in keys}
    except Exception as error:
        raise ArgusError(f"{path} is not a readable safetensors file ({error}); save or fetch it again") from error


def _read_scores(checkpoint: Path, weights_sha256: str) -> list[dict[str, Any]]:
    """The scores of exactly these weights: the run's own of its best ones, and rows of ``arena eval``."""
    remedy = "remove it, or score the head again"
    own = checkpoint.parent / "result.json"
    rows = [read_json(own, remedy)] if checkpoint.name == "best.safetensors" and own.is_file() else []
    later = [read_json(file, remedy) for file in sorted((checkpoint.parent / "scores").glob("*.json"))]
    rows += [row for row in later if row.get("weights_sha256") == weights_sha256]
    return [{key: row[key] for key in SCORE_FIELDS if key in row} for row in rows]
