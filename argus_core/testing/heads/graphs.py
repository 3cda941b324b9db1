"""Checks that a head's forward pass becomes a graph: exported for every size, and compiled."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.testing.heads.subject import Size, Subject, float_tensors
from argus_core.testing.kit.subprocess import home, load_class_module, run_job
from argus_core.testing.kit.values import TOLERANCE, largest_difference
from argus_core.tokens import Features

TRACED = ((320, 416), 2)
"""Canvas and images that the exported program is traced on."""
EXPORTED = (((144, 240), 1), ((176, 144), 3))
COMPILED = (((64, 96), 2), ((112, 48), 1))
"""Canvases and images at which the graphs must answer as the head does."""
Inputs = tuple[list[Tensor], list[Tensor], Tensor]
Graph = Callable[[list[Tensor], list[Tensor], Tensor], Sequence[Tensor]]


def exports(subject: Subject) -> None:
    """torch.export makes one program of forward for every batch and canvas, which answers as the head does."""
    fault = _isolated_faults(subject)["exports"]
    assert not fault, fault


def compiles(subject: Subject) -> None:
    """torch.compile takes forward as one graph, which answers as the head does."""
    fault = _isolated_faults(subject)["compiles"]
    assert not fault, fault


@lru_cache(maxsize=1)  # both checks of a subject ask for it, one after the other
def _isolated_faults(subject: Subject) -> dict[str, str]:
    """As ``graph_faults``, in a process of its own unless no other process finds the class."""
    place = home(subject.cls)
    if place["module"] == "__main__" or "<locals>" in place["name"]:
        return graph_faults(subject)
    return run_job(report_graphs, {**place, "options": dict(subject.options)})


def report_graphs(module: str, file: str | None, name: str, options: dict[str, Any]) -> dict[str, str]:
    """``graph_faults`` of the head class ``name`` of a module or file."""
    with contextlib.redirect_stdout(io.StringIO()):
        cls = attrgetter(name)(load_class_module(module, file))
        return graph_faults(Subject(cls, name, options))


def graph_faults(subject: Subject) -> dict[str, str]:
    """Why the head cannot be exported or compiled, by check; empty texts where it can."""
    faults = {}
    for check, make, sizes in (("exports", _export, EXPORTED), ("compiles", _compile, COMPILED)):
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                forward = Forward(subject.perturbed())
                _compare(subject, forward, make(subject, forward), sizes)
            faults[check] = ""
        except Exception as error:
            faults[check] = " ".join(str(error).split())[:600] or type(error).__name__
    return faults


class Forward(nn.Module):
    """A head's forward pass from tensors to tensors: maps, CLS vectors and extents to all that the output holds."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: list[Tensor], cls: list[Tensor], extent: Tensor) -> list[Tensor]:
        """The canvas is what the first map covers; a head that reads no map has no use for it."""
        stride = self.head.info.strides[self.head.needs.layers[0]]
        size = (maps[0].shape[2] * stride, maps[0].shape[3] * stride) if maps else (0, 0)
        return float_tensors(self.head(Features(tuple(maps), tuple(cls), extent, size)))


def _export(subject: Subject, forward: Forward) -> Graph:
    from argus_core.export.trace import free_axes, trace

    inputs = maps, cls, _ = _inputs(subject, forward.head, *TRACED)
    batch, rows, columns = free_axes()
    axes = ([{0: batch, 2: rows, 3: columns} for _ in maps], [{0: batch} for _ in cls], {0: batch})
    return trace(forward, inputs, axes, "forward").module()


def _compile(subject: Subject, forward: Forward) -> Graph:
    torch.compiler.reset()
    return torch.compile(forward, backend="eager", fullgraph=True)


def _compare(subject: Subject, forward: Forward, graph: Graph, sizes: Sequence[tuple[Size, int]]) -> None:
    for canvas, images in sizes:
        inputs = _inputs(subject, forward.head, canvas, images)
        expected, answers = forward(*inputs), list(graph(*inputs))
        shapes = [[tuple(tensor.shape) for tensor in output] for output in (expected, answers)]
        where = f"on {images} images of {canvas[0]} x {canvas[1]} px"
        assert shapes[0] == shapes[1], f"the graph gives {shapes[1]} {where}, the head {shapes[0]}: a size was frozen"
        difference = largest_difference(expected, answers)
        assert difference < TOLERANCE, (
            f"the graph answers otherwise than the head, by {difference:.1e} {where}: compute what depends on sizes "
            "from the shapes of the features, not in Python numbers"
        )


def _inputs(subject: Subject, head: Head, canvas: Size, images: int) -> Inputs:
    features = subject.example(head, canvas, images)[0].features(head.needs)
    return list(features.maps), list(features.cls), features.extent
