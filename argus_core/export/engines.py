"""Other ways to run the backbone than eager PyTorch: compiled, or by OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from argus_core.errors import ArgusError, unknown
from argus_core.export.int8 import Images, quantize
from argus_core.export.ir import open_backbone
from argus_core.export.openvino import HINTS, OpenVINONetwork, check_bf16
from argus_core.model import Composition

A = TypeVar("A", bound=Composition)


ENGINES = ("eager", "inductor", "openvino")


def compile_backbone(
    argus: A,
    engine: str = "inductor",
    precision: str = "fp32",
    images: Images | None = None,
    graph: str | Path | None = None,
) -> A:
    """Run the backbone of an Argus by ``engine`` from now on, and return it; heads stay with PyTorch.

    ``inductor`` compiles on the first pass of each size; ``openvino`` needs the extra ``openvino`` and a CPU; ``eager``
    undoes both. OpenVINO also computes in ``bf16``, or in ``int8``: calibrated on ``images`` (a folder or a list),
    checked on others, which takes minutes, see ``int8.quantize``, or read from a ``graph``, the folder of an
    ``export_openvino``. Raises ArgusError for what an engine or this CPU cannot do.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if precision not in HINTS:
        raise unknown("precision", precision, HINTS)
    backbone = argus.backbone
    if engine != "openvino" and (precision != "fp32" or images is not None or graph is not None):
        raise ArgusError(f"engine {engine!r} has no precision, images or graph of its own; use engine='openvino'")
    if engine == "openvino":
        if backbone.device.type != "cpu":
            raise ArgusError(f"OpenVINO runs on the CPU, the backbone is on {backbone.device}: argus.to('cpu') first")
        backbone._compiled = _openvino(argus, precision, images, graph)
    elif engine == "inductor":
        # Weights as constants, which a frozen backbone's are, let the compiler lay them out for products on a CPU.
        backbone.compile(options={"freezing": True} if backbone.device.type == "cpu" else None)
    else:
        backbone._compiled = None
    return argus


def _openvino(argus: Composition, precision: str, images: Images | None, graph: str | Path | None) -> OpenVINONetwork:
    if graph is not None:
        return OpenVINONetwork(argus.backbone, *open_backbone(Path(graph), argus.backbone))
    if precision == "int8":
        return OpenVINONetwork(argus.backbone, precision, quantize(argus, images)[0])
    if images is not None:
        raise ArgusError(f"images are for precision='int8'; {precision} is not calibrated")
    if precision == "bf16":
        check_bf16()
    return OpenVINONetwork(argus.backbone, precision)
