"""Other ways to run the backbone than PyTorch's own."""

from __future__ import annotations

from typing import TypeVar

from argus_core.compose import Composition
from argus_core.errors import ArgusError, unknown

A = TypeVar("A", bound=Composition)
ENGINES = ("eager", "inductor", "openvino")


def compile_backbone(argus: A, engine: str = "inductor", int8: bool = False) -> A:
    """Run the backbone of an Argus by ``engine`` from now on, and return it; heads stay with PyTorch.

    ``inductor`` compiles on the first pass of each size; ``openvino`` needs the extra ``openvino`` and a CPU, and
    rounds weights to int8 if asked; ``eager`` undoes both. Raises ArgusError for what an engine cannot do.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    backbone = argus.backbone
    if int8 and engine != "openvino":
        raise ArgusError(f"engine {engine!r} has no int8 of its own; use engine='openvino', or quantize_int8() before")
    if engine == "openvino":
        if backbone.device.type != "cpu":
            raise ArgusError(f"OpenVINO runs on the CPU, the backbone is on {backbone.device}: argus.to('cpu') first")
        from argus_core.export.openvino import OpenVINONetwork

        backbone._compiled = OpenVINONetwork(backbone, int8)
    elif engine == "inductor":
        # Weights as constants, which a frozen backbone's are, let the compiler lay them out for products on a CPU.
        backbone.compile(options={"freezing": True} if backbone.device.type == "cpu" else None)
    else:
        backbone._compiled = None
    return argus
