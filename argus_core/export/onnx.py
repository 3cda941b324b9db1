"""An Argus as ONNX files: one graph of everything, and one of each part."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from argus_core.common.extras import need
from argus_core.errors import ArgusError
from argus_core.export.folder import KEY, ExportReport, describe, export_graphs
from argus_core.export.parts import Part, Parts
from argus_core.export.trace import trace
from argus_core.export.verify import LIMIT, Run
from argus_core.model import Composition
from argus_core.tokens.taps import EmbeddingLayers

if TYPE_CHECKING:
    import onnx_ir
    from torch.onnx import ONNXProgram


def export_onnx(
    argus: Composition,
    folder: str | Path,
    verify: bool = True,
    limit: float = LIMIT,
    embedding: EmbeddingLayers | None = None,
) -> ExportReport:
    """Write ``argus.onnx`` and a file per part to ``folder``, and return where they are and how far they are off.

    Batch, height and width are free. With ``verify`` each is run in ONNX Runtime at six other sizes. Raises
    ArgusError where a library is missing, a head cannot be exported, or a graph differs by more than ``limit`` of an
    output's largest value; then nothing is written. The same report lies in ``export.json``. With ``embedding`` layers
    detectors also give the vectors of their boxes, and ``head_image`` that of the image.
    """
    check_onnx(verify)
    return export_graphs(argus, Path(folder), _write, open_graph, verify, limit, embedding)


def check_onnx(verify: bool) -> None:
    """Raise ArgusError for a missing library."""
    for module in ("onnx", "onnxscript", *(["onnxruntime"] if verify else [])):
        need(module, "onnx")


def _write(argus: Composition, parts: Parts, folder: Path) -> dict[str, Path]:
    """Convert each part, save it, and then join all of them."""
    programs = {}
    files = {name: folder / f"{name}.onnx" for name in ("argus", *parts.parts)}
    for name, part in parts.parts.items():
        programs[name] = convert(part, name)
        _save(programs[name], files[name], describe(argus, parts, name, part))
    heads = {name: programs[f"head_{name}"] for name in parts.heads}
    _save(_join(programs["backbone"], heads), files["argus"], describe(argus, parts, "argus", parts.whole))
    return files


def _save(program: ONNXProgram, path: Path, record: str) -> None:
    """One file with its record; weights go into a second one only beyond the format's 2 GB."""
    program.model.metadata_props[KEY] = record
    program.save(path)


def convert(part: Part, name: str) -> ONNXProgram:
    """One part as an ONNX program whose free axes have names."""
    program = trace(part.module, part.example, part.axes, name)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=part.inputs, output_names=part.outputs
            )
    except Exception as error:  # PyTorch does not promise any type
        reason = str(error.__cause__ or error).strip().splitlines()[-1][:300]
        raise ArgusError(f"{name} has no form in ONNX: {reason}; leave that head out, or export_torch") from error
    assert converted is not None
    converted.rename_axes(_axis_names(part, converted))
    return converted


def _axis_names(part: Part, program: ONNXProgram) -> dict[str | onnx_ir.SymbolicDim, str]:
    """The symbols of the free axes in a program, with their names."""
    names: dict[str | onnx_ir.SymbolicDim, str] = {}
    axes = part.axes[0].values() if isinstance(part.axes[0], dict) and isinstance(part.example[0], dict) else part.axes
    for value, free in zip(program.model.graph.inputs, axes, strict=True):
        for axis, dim in (free or {}).items():
            assert value.shape is not None
            symbols = re.findall(r"[a-z]\w*", str(value.shape[axis]))  # in 16*s77 as well
            names[symbols[0]] = str(getattr(dim, "root", dim).__name__)
    return names


def _join(backbone: ONNXProgram, heads: Mapping[str, ONNXProgram]) -> ONNXProgram:
    """Append the heads' graphs to the backbone's, in place; computations that several share are done once."""
    from onnx_ir.passes import common

    graph = backbone.model.graph
    tokens = {str(value.name): value for value in graph.outputs}
    graph.outputs.clear()
    for name, head in heads.items():
        _append(graph, tokens, name, head.model.graph)
    for step in (
        common.NameFixPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        step(backbone.model)
    return backbone


def _append(graph: onnx_ir.Graph, tokens: Mapping[str, onnx_ir.Value], name: str, head: onnx_ir.Graph) -> None:
    """Move the nodes of a head's graph to ``graph``, where they read ``tokens``; answers get the head's ``name``."""
    import onnx_ir

    for value in [*head.inputs]:
        onnx_ir.convenience.replace_all_uses_with(value, tokens[str(value.name)])
    for value in [*head.initializers.values()]:
        head.initializers.pop(str(value.name))
        value.name = f"{name}/{value.name}"
        graph.register_initializer(value)
    _rename_inside(head, name)
    answers, nodes = [*head.outputs], [*head]
    head.outputs.clear()
    head.remove(nodes)
    graph.extend(nodes)
    for value in answers:
        value.name = f"{name}_{value.name}"
    graph.outputs.extend(answers)


def _rename_inside(graph: onnx_ir.Graph, prefix: str) -> None:
    """Prefix the names of all values that a graph computes, loop bodies included, so that no other graph has them."""
    import onnx_ir

    def rename(body: Any) -> None:
        if body is not graph:  # the inputs of the graph itself are other graphs' outputs
            for value in body.inputs:
                value.name = f"{prefix}/{value.name}"

    outputs = {id(value) for value in graph.outputs}
    for node in onnx_ir.traversal.RecursiveGraphIterator(graph, enter_graph=rename):
        for value in node.outputs:
            if id(value) not in outputs:
                value.name = f"{prefix}/{value.name}"


def open_graph(path: Path) -> Run:
    """A file as a function from inputs by name to outputs by name."""
    runtime = need("onnxruntime", "onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}
        return {name: torch.from_numpy(value) for name, value in zip(names, session.run(None, arrays), strict=True)}

    return run
