"""From a module to a graph that holds for every batch and every canvas of whole cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._sympy.value_ranges import ValueRanges

from argus_core.errors import ArgusError
from argus_core.export.stand_ins import stand_ins

GRID = (20, 26)
"""Cells of the canvas that is traced: neither square nor so small that a coarse level of a pyramid has one cell."""
BATCH = 2
LEAST = 9
"""Cells of the smallest canvas while tracing; smaller ones then work too, which is only harder to prove."""
Axes = dict[int, Any]


def trace(module: nn.Module, inputs: tuple[Any, ...], axes: tuple[Any, ...], what: str) -> ExportedProgram:
    """``module`` as an exported program in which ``axes`` of ``inputs`` are free; raises ArgusError if it fixes one."""
    from torch.fx.experimental import _config

    if not hasattr(_config, "backed_size_oblivious"):
        raise ArgusError(f"PyTorch {torch.__version__} cannot export graphs for any size; install 2.9 or later")
    # Sizes of 1 are no special case: what holds for two images or cells is to hold for one.
    oblivious = _config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    try:
        with stand_ins(module), oblivious, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                module,
                inputs,
                dynamic_shapes=axes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        reason = " ".join(str(error).split())[:600]
        raise ArgusError(f"{what} cannot be exported for every size: {reason}") from error
    return _without_asserts(program)


def _without_asserts(program: ExportedProgram) -> ExportedProgram:
    """Drop the assertions that sizes are in the ranges assumed while tracing: ``verify`` compares outputs instead."""
    for graph in program.graph_module.modules():
        if isinstance(graph, torch.fx.GraphModule):  # regions of another precision are graphs of their own
            for node in [*graph.graph.nodes]:
                if node.target is torch.ops.aten._assert_scalar.default:
                    graph.graph.erase_node(node)
            graph.graph.eliminate_dead_code()
            graph.recompile()
    for symbol, values in program.range_constraints.items():
        program.range_constraints[symbol] = ValueRanges(1, values.upper)
    return program


def image_axes(unit: int) -> tuple[Axes, Axes]:
    """The free axes of ``images`` (B, 3, H, W), in multiples of ``unit`` pixels, and ``extent`` (B, 2)."""
    batch, rows, columns = free_axes()
    return {0: batch, 2: unit * rows, 3: unit * columns}, {0: batch}


def token_axes(names: Sequence[str], strides: Sequence[int]) -> dict[str, Axes]:
    """The free axes of tokens by name, of layers of these ``strides``: maps, prefixes and where images end."""
    batch, rows, columns = free_axes()
    unit = coarsest([strides[int(name[4:])] for name in names if name.startswith("map_")] or [1])
    axes: dict[str, Axes] = {}
    for name in names:
        kind, _, layer = name.partition("_")
        axes[name] = {0: batch}
        if kind == "map":
            finer = unit // strides[int(layer)]
            axes[name] |= {2: finer * rows, 3: finer * columns}
    return axes


def free_axes() -> tuple[Any, Any, Any]:
    """Images of a batch, and rows and columns of cells."""
    return Dim("batch", min=1), Dim("rows", min=LEAST), Dim("columns", min=LEAST)


def coarsest(strides: Sequence[int]) -> int:
    """The sides of a canvas are multiples of so many pixels; raises ArgusError unless all strides divide it."""
    unit = max(strides)
    if any(unit % stride for stride in strides):
        raise ArgusError(f"layers of strides {sorted(set(strides))} px share no grid, so no graph holds for any size")
    return unit


def example_images(unit: int) -> tuple[Tensor, Tensor]:
    """Black images on the canvas that is traced, one of two smaller than it."""
    height, width = (unit * cells for cells in GRID)
    images = torch.zeros(BATCH, 3, height, width, dtype=torch.uint8)
    return images, torch.tensor([[height, width], [height - unit - 3, width - 2 * unit - 5]])
