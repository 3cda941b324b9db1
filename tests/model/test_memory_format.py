"""Convolutions of heads run channels-last inside an Argus, and answer as they do alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.canvas import Canvas
from argus_core.saving.build import build_head
from argus_core.tasks import Task
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment

BACKBONE = load_backbone("tiny")
CANVAS = Canvas(96, 128)


def tensors(output: object) -> list[Tensor]:
    """All tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    values = output if isinstance(output, tuple | list) else getattr(output, "__dict__", {}).values()
    return [found for value in values for found in tensors(value)]


@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        ("detect.split_tower", Detect.small(), {"width": 16, "convs": 1, "text_dim": 24}),
        ("detect.fcos", Detect.small(), {"width": 16, "depth": 1}),
        ("segment.dpt", Segment.small(), {}),
        ("depth.dpt", Depth.small(), {}),
    ],
)
def test_a_head_in_an_argus_gives_the_numbers_of_the_head_alone(name: str, task: Task, options: dict[str, int]) -> None:
    torch.manual_seed(0)
    alone = build_head(name, BACKBONE.info, task, options).eval()
    with torch.no_grad():
        for parameter in alone.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    argus = Argus(BACKBONE, {"head": copy.deepcopy(alone)}, CANVAS)
    inside = argus.head("head")
    assert all(
        layer.weight.is_contiguous(memory_format=torch.channels_last)
        for layer in inside.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    )
    tokens = argus.features([torch.randint(256, (60, 100, 3), dtype=torch.uint8).numpy()])
    with torch.no_grad():
        found, expected = (tensors(head(tokens.features(head.needs))) for head in (inside, alone))
    assert len(found) == len(expected) > 0
    for values, others in zip(found, expected, strict=True):
        assert float((values - others).abs().max()) <= 1e-5 * float(others.abs().max())
    before = alone.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in inside.state_dict().items())
