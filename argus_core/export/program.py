"""An Argus as exported PyTorch programs (``.pt2``): one of everything, and one of each part."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_core.export.folder import KEY, as_text, describe, record, staged
from argus_core.export.parts import at_rest, take_apart
from argus_core.export.trace import trace
from argus_core.export.verify import LIMIT, Run, check_graphs
from argus_core.model import Composition


def export_torch(argus: Composition, folder: str | Path, verify: bool = True, limit: float = LIMIT) -> dict[str, Any]:
    """Write ``argus.pt2`` and a file per part to ``folder``, and return where they are and how far they are off.

    ``torch.export.load(file).module()`` is called like the graphs of ``export_onnx``: with (images, extent), heads
    with their tokens in a dictionary. The record is in the extra file ``argus.json``. Raises ArgusError as there.
    """
    with at_rest(argus), staged(Path(folder)) as stage:
        parts = take_apart(argus)
        files = {name: stage / f"{name}.pt2" for name in (*parts.parts, "argus")}
        for name, part in {**parts.parts, "argus": parts.whole}.items():
            about = as_text(describe(argus, parts, name, part))
            program = trace(part.module, part.example, part.axes, name)
            torch.export.save(program, files[name], extra_files={f"{KEY}.json": about})
        loaded = {name: _loaded(path) for name, path in files.items()} if verify else None
        found = check_graphs(argus, parts, loaded, limit) if loaded else None
        return record(argus, files, found, Path(folder), stage)


def _loaded(path: Path) -> Run:
    """A written program as a function of its inputs by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch 2.9 warns that the bytes it has read itself are not writable
        program = torch.export.load(path)
    module = program.module()
    takes_tokens = not {"images", "points"} & set(program.graph_signature.user_inputs)

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        return module(inputs) if takes_tokens else module(*inputs.values())

    return run
