"""An Argus as OpenVINO files: one graph of everything, and one of each part, in float32 or with a backbone in int8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from argus_core.backbones import Backbone
from argus_core.common.extras import need
from argus_core.common.files import read_json
from argus_core.errors import ArgusError
from argus_core.export.folder import KEY, REPORT, ExportReport, describe, export_graphs
from argus_core.export.int8 import Images, check_request, quantize
from argus_core.export.onnx import convert
from argus_core.export.openvino import compiled, encoder, named, quiet, read_graph
from argus_core.export.parts import Part, Parts, needs_of
from argus_core.export.verify import LIMIT, Run
from argus_core.model import Composition
from argus_core.tokens.taps import EmbeddingLayers


def check_openvino(int8: Images | None) -> None:
    """Raise ArgusError for a missing library, and for what forbids int8."""
    for module, extra in (("openvino", "openvino"), ("onnx", "onnx"), ("onnxscript", "onnx")):
        need(module, extra)
    if int8 is not None:
        check_request(int8)


def export_openvino(
    argus: Composition,
    folder: str | Path,
    verify: bool = True,
    limit: float = LIMIT,
    embedding: EmbeddingLayers | None = None,
    int8: Images | None = None,
) -> ExportReport:
    """Write ``argus.xml`` and a file per part to ``folder``, as ``export_onnx`` does, which is also the way to them.

    With images of yours in ``int8`` the backbone is then calibrated on half of them and checked on the others, see
    ``int8.quantize``; heads stay in float32. Raises ArgusError as both.
    """
    check_openvino(int8)
    if int8 is None:
        return export_graphs(argus, Path(folder), _write, open_graph, verify, limit, embedding)

    def to_int8(parts: Parts, stage: Path) -> dict[str, Any]:
        graph, drift = quantize(argus, int8, read_graph(stage / "backbone.xml"))
        heads = {name: read_graph(stage / f"head_{name}.xml") for name in parts.heads}
        _save(argus, parts, "backbone", graph, stage)
        _save(argus, parts, "argus", joined(graph, heads), stage)
        return drift.to_dict()

    return export_graphs(argus, Path(folder), _write, open_graph, verify, limit, embedding, to_int8)


def _write(argus: Composition, parts: Parts, folder: Path) -> dict[str, Path]:
    graphs = {name: _converted(part, name) for name, part in parts.parts.items() if name != "backbone"}
    graphs["backbone"] = encoder(argus.backbone, needs_of(argus, parts.embedding))
    graphs["argus"] = joined(graphs["backbone"], {name: graphs[f"head_{name}"] for name in parts.heads})
    return {name: _save(argus, parts, name, graph, folder) for name, graph in graphs.items()}


def _converted(part: Part, name: str) -> Any:
    """A part by way of ONNX, which has a form for the loops of detectors."""
    content = BytesIO(convert(part, name).model_proto.SerializeToString())
    with quiet():
        return named(need("openvino", "openvino").convert_model(content), part.inputs, part.outputs)


def joined(backbone: Any, heads: Mapping[str, Any]) -> Any:
    """A model of the heads' models behind the backbone's; their outputs are called ``HEAD_OUTPUT``."""
    backbone, results = backbone.clone(), []
    for name, head in heads.items():
        head = head.clone()
        outputs = [port.any_name for port in head.outputs]
        for port in head.inputs:
            source = backbone.output(port.any_name).get_node().input_value(0)
            for target in [*port.get_target_inputs()]:
                target.replace_source_output(source)
        for port, output in zip(head.outputs, outputs, strict=True):
            port.get_tensor().set_names({f"{name}_{output}"})
            port.get_node().set_friendly_name(f"{name}_{output}")
        results += head.get_results()
    return need("openvino", "openvino").Model(results, backbone.get_parameters())


def _save(argus: Composition, parts: Parts, name: str, graph: Any, folder: Path) -> Path:
    """A graph with its record, as two files of which the first is named."""
    part = parts.whole if name == "argus" else parts.parts[name]
    part = replace(part, outputs=tuple(port.any_name for port in graph.outputs))
    graph.set_rt_info(describe(argus, parts, name, part), KEY)
    need("openvino", "openvino").save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
    return folder / f"{name}.xml"


def open_graph(path: Path) -> Run:
    """A file as a function from inputs by name to outputs by name."""
    graph = compiled(read_graph(path), "fp32")
    names = [port.any_name for port in graph.outputs]

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        values = graph({name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}).to_tuple()
        return {name: torch.from_numpy(value.copy()) for name, value in zip(names, values, strict=True)}

    return run


def open_backbone(folder: Path, backbone: Backbone) -> tuple[str, Any]:
    """Precision and graph of the backbone in an export of the same weights."""
    export = "write it with `argus export --format openvino`"
    report, path = read_json(folder / REPORT, export), folder / "backbone.xml"
    if not path.exists():
        raise ArgusError(f"{folder} has no backbone.xml: {export}")
    graph = read_graph(path)
    weights = json.loads(graph.get_rt_info(KEY).astype(str))["backbone"]["weights_sha256"]
    if weights != backbone.weights_sha256:
        raise ArgusError(f"{path} has weights {weights[:12]}, this backbone {backbone.weights_sha256[:12]}: {export}")
    return "int8" if "int8" in report else "fp32", graph
