"""Images with thousands of boxes as people have them: copies of one box, crowds in one place, very many classes."""

from __future__ import annotations

import pytest
import torch

from argus_core import Detect, build_head, load_backbone
from argus_core.tasks.detect import BoxTarget
from argus_core.testing.heads.cost import BOXES, CANVAS, Costs

HEADS = ("detect.split_tower", "detect.optimal_transport", "detect.relational_corners")


def copies(classes):
    """An exporter that wrote one annotation again and again."""
    return torch.tensor([[100.0, 120.0, 180.0, 260.0]]).repeat(BOXES, 1), torch.zeros(BOXES, dtype=torch.long)


def one_place(classes):
    """Seeds in a dish: all centres within 40 pixels, sides of a pixel and more."""
    generator = torch.Generator().manual_seed(0)
    start = 300 + 40 * torch.rand(BOXES, 2, generator=generator)
    sides = 1 + 15 * torch.rand(BOXES, 2, generator=generator)
    return torch.cat([start, start + sides], dim=1), torch.randint(classes, (BOXES,), generator=generator)


def nested(classes):
    """Boxes around boxes, as of hierarchies of parts: all share their centre."""
    half = torch.linspace(1, 300, BOXES)[:, None]
    return torch.cat([320 - half, 320 - half, 320 + half, 320 + half], dim=1), torch.arange(BOXES) % classes


@pytest.mark.parametrize(
    "boxes, classes", [(copies, 3), (nested, 3), (one_place, 1203)], ids=["copies", "nested", "one place, LVIS"]
)
@pytest.mark.parametrize("name", HEADS)
def test_the_loss_of_thousands_of_boxes_takes_seconds_and_little_memory(name, boxes, classes):
    torch.manual_seed(0)
    backbone = load_backbone("tiny")
    task = Detect(classes=tuple(map(str, range(classes))))
    head = build_head(name, backbone.info, task, {"width": 32}).train()
    tokens, _ = task.example(
        backbone.info, head.needs.resolve(head.info).layers, CANVAS, 1, torch.Generator().manual_seed(0)
    )
    output = head(tokens.features(head.needs))
    corners, labels = boxes(classes)
    with Costs("the loss"):
        terms = head.loss(output, [BoxTarget(corners, labels, torch.zeros(BOXES, dtype=torch.bool))])
        sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
