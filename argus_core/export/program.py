"""An Argus as exported PyTorch programs (``.pt2``): one of everything, and one of each part."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from argus_core.export.folder import KEY, ExportReport, describe, export_graphs
from argus_core.export.parts import Parts
from argus_core.export.trace import trace
from argus_core.export.verify import LIMIT, Run
from argus_core.model import Composition
from argus_core.tokens.taps import EmbeddingLayers


def export_torch(
    argus: Composition,
    folder: str | Path,
    verify: bool = True,
    limit: float = LIMIT,
    embedding: EmbeddingLayers | None = None,
) -> ExportReport:
    """Write ``argus.pt2`` and a file per part to ``folder``, and return where they are and how far they are off.

    ``torch.export.load(file).module()`` is called like the graphs of ``export_onnx``: with (images, extent), heads
    with their tokens in a dictionary. The record is in the extra file ``argus.json``. Raises ArgusError as there.
    """
    return export_graphs(argus, Path(folder), _write, _open, verify, limit, embedding)


def _write(argus: Composition, parts: Parts, folder: Path) -> dict[str, Path]:
    files = {}
    for name, part in {**parts.parts, "argus": parts.whole}.items():
        files[name] = folder / f"{name}.pt2"
        program = trace(part.module, part.example, part.axes, name)
        torch.export.save(program, files[name], extra_files={f"{KEY}.json": describe(argus, parts, name, part)})
    return files


def _open(path: Path) -> Run:
    """A file as a function from inputs by name to outputs by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch 2.9 warns that the bytes it has read itself are not writable
        program = torch.export.load(path)
    module = program.module()
    takes_tokens = not {"images", "points"} & set(program.graph_signature.user_inputs)

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        return module(inputs) if takes_tokens else module(*inputs.values())

    return run
