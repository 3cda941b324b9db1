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
from argus_core.common.tensors import tensors_sha256, write_tensors
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.registry import HEADS, TASKS
from argus_core.saving.build import head_class, registered_head, task_from_dict, task_to_dict
from argus_core.saving.origin import check_api, check_installed, differs, origin_of, trained_on
from argus_core.tokens import FeatureInfo
from argus_core.version import API_VERSION

KEPT = ("protocol", "primary", "higher_is_better", "metrics", "framing", "data", "notes", "versions")


def scores_beside(checkpoint: Path, weights_sha256: str) -> list[dict[str, Any]]:
    """What is known of exactly these weights: the run's own score of its best ones, and rows of ``arena eval``."""
    remedy = "remove it, or score the head again"
    own = checkpoint.parent / "result.json"
    rows = [read_json(own, remedy)] if checkpoint.name == "best.safetensors" and own.is_file() else []
    again = [read_json(file, remedy) for file in sorted((checkpoint.parent / "scores").glob("*.json"))]
    rows += [row for row in again if row.get("weights_sha256") == weights_sha256]
    return [{key: row[key] for key in KEPT if key in row} for row in rows]


FORMAT = "argus-head-1"


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
        "record": dict(record),
    }
    write_tensors(path, tensors or head.state_dict(), {"argus": json.dumps(metadata)})


def load_head(path: str | Path) -> tuple[Head, dict[str, Any]]:
    """Rebuild a saved head in eval mode; returns it with its record. Runs no code from the file.

    Raises NotInstalled, which says what to install, if the code of the head or of its task is not here.
    """
    path = Path(path)
    metadata, state = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise ArgusError(f"{path} is not a saved head (format {metadata.get('format')!r}, expected {FORMAT!r})")
    check_api(metadata.get("api_version", ""), str(path))
    origin = metadata.get("origin", {})  # missing from files of the first version
    check_installed(HEADS, metadata["head"], origin.get("head", {}), str(path))
    check_installed(TASKS, metadata["task"]["task"], origin.get("task", {}), str(path))
    info, task = FeatureInfo.from_dict(metadata["info"]), task_from_dict(metadata["task"])
    options = head_class(metadata["head"]).restore_options(metadata["options"])
    head = registered_head(metadata["head"], info, task, options)
    load_state(head, state, str(path), differs(origin.get("head", {})))
    tokens = metadata["record"].get("tokens", {})
    head.canvas = Canvas(**tokens["canvas"]) if tokens.get("canvas") else None
    head.backbone_sha256 = trained_on(metadata["record"])
    scores = scores_beside(path, tensors_sha256(state))
    head.record = {**metadata["record"], **({"scores": scores} if scores else {})}
    return head.eval(), metadata["record"]


def load_state(head: Head, state: Mapping[str, Tensor], where: str, cause: str = "") -> None:
    """Load weights strictly; a misfit names the head, the keys and the likely ``cause``."""
    head.make_room(state)
    own = head.state_dict()
    faults = [f"missing {key}" for key in own if key not in state]
    faults += [f"unexpected {key}" for key in state if key not in own]
    faults += [
        f"{key} is {tuple(state[key].shape)}, the head has {tuple(own[key].shape)}"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    if faults:
        shown = "; ".join(faults[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
        raise ArgusError(
            f"{where} does not fit head {head.name!r}: {shown}; {cause or 'was it saved by another version or option?'}"
        )
    head.load_state_dict(dict(state))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's ``argus`` metadata and tensors."""
    if not path.is_file():
        raise ArgusError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("argus", "{}"))
            return metadata, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise ArgusError(f"{path} is not a readable safetensors file: {error}") from error
