"""The backbone alone: milliseconds by canvas, batch and precision, as it is and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from argus_core.backbones import Backbone
from argus_core.backbones.base import Precision
from argus_core.tokens import Needs
from gpu_parts.bench import Bench, close, relative

PRECISIONS: tuple[Precision, ...] = ("fp32", "auto")
COMPILED = 1e-3
"""How far tokens of the compiled backbone may be from the eager one's in float32, relative to the largest."""
SECONDS = 60
"""What compiling for one size may take."""


def sizes(bench: Bench) -> Iterator[tuple[int, int]]:
    """Side and batch, the most wanted first."""
    sides, batches = ((64, 32), (2, 1)) if bench.toy else ((640, 224), (8, 64, 1))
    yield from ((side, batch) for batch in batches for side in sides)


def run(bench: Bench) -> None:
    """Eager, in float32 without TF32 and in the device's own precision."""
    for precision in PRECISIONS:
        backbone = bench.backbone(precision)
        for side, batch in sizes(bench):
            bench.time(name(precision, backbone, side, batch, "eager"), encoding(backbone, side, batch), batch)


def check_compiled(bench: Bench) -> None:
    """The tokens of the compiled backbone beside those of the eager one."""
    side, batch = next(sizes(bench))
    with bench.check("compiled as eager") as values:
        backbone = bench.backbone("fp32")
        encode = encoding(backbone, side, batch)
        eager = last(encode)
        compile_anew(bench, backbone)
        values["difference"] = difference = relative(last(encode), eager)
        close(difference, COMPILED, "a token")


def compiled(bench: Bench) -> None:
    """As ``run``, compiled for each size anew, as long as there is time; at toy size once."""
    for precision in PRECISIONS[-1:] if bench.toy else reversed(PRECISIONS):
        backbone = bench.backbone(precision)
        for side, batch in [*sizes(bench)][: 1 if bench.toy else None]:
            label = name(precision, backbone, side, batch, "compiled")
            if bench.left < SECONDS and not bench.toy:
                bench.figure(label, note="no time left")
                continue
            compile_anew(bench, backbone)
            bench.time(label, encoding(backbone, side, batch), batch)


def name(asked: str, backbone: Backbone, side: int, batch: int, how: str) -> str:
    """The label of a figure."""
    precision = asked if asked == backbone.precision else f"{asked} ({backbone.precision})"
    return f"{side} px, batch {batch}, {precision}, {how}"


def encoding(backbone: Backbone, side: int, batch: int) -> Callable[[], dict[int, Tensor]]:
    """A pass over fixed canvases, which are copied to the device each time; gives its maps."""
    canvases = torch.randint(
        0, 255, (batch, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    extent = torch.full((batch, 2), side)
    return partial(_encode, backbone, canvases, extent)


def _encode(backbone: Backbone, canvases: Tensor, extent: Tensor) -> dict[int, Tensor]:
    return dict(backbone.encode(canvases, extent, Needs()).maps)


def last(encode: Callable[[], dict[int, Tensor]]) -> Tensor:
    """The last map of a pass, on the CPU."""
    return [*encode().values()][-1].cpu()


def compile_anew(bench: Bench, backbone: Backbone) -> None:
    """Compile for the next size alone; at toy size the graph is traced but not translated, which takes too long."""
    torch._dynamo.reset()
    backbone.compile(**{"backend": "eager"} if bench.toy else {"dynamic": False})
