"""Objects as points: ideal maps give the annotated boxes back, and cost nothing."""

from dataclasses import replace

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred

from argus_core.detection import cells_of
from argus_core.tasks.detect import BoxTarget
from argus_heads.experimental.centernet import CenterNet


def oracle(head, features, targets):
    """Maps that say exactly what is annotated."""
    output = head(features)
    heat, size, offset = (torch.zeros_like(x) for x in (output.heat - 20, output.size, output.offset))
    heat -= 50
    for i, target in enumerate(targets):
        for box, label in zip(target.boxes, target.labels, strict=True):
            middle = (box[:2] + box[2:]) / 2
            row, col = (middle.flip(0) / head.stride).floor().long()
            heat[i, label, row, col] = 50
            size[i, :, row, col] = (box[2:] - box[:2]) / head.stride
            offset[i, :, row, col] = middle / head.stride - torch.stack([col, row])
    return replace(output, heat=heat, size=size, offset=offset)


def test_the_size_is_the_specified_one():
    assert size_of(CenterNet(VITB, COCO)) == 1_560_148
    assert CenterNet(VITB, COCO).stride == 4


@pytest.mark.parametrize("stride", [16, 32, 8])
@pytest.mark.parametrize("canvas", [(96, 128), (80, 208)])
def test_oracle_round_trip(stride, canvas):
    head = make(CenterNet, width=16, stride=stride)
    features, targets = scenes(head, canvas, images=6)
    output = oracle(head, features, targets)
    assert output.heat.shape[2:] == tuple(4 * -(-side // stride) for side in canvas)
    assert sum(head.loss(output, targets).values()) < 1e-5
    for found, target in zip(head.decode(output, canvas), targets, strict=True):
        sure = found.scores > 0.5
        assert sure.sum() == len(target.boxes)
        order = torch.cdist(target.boxes, found.boxes[sure], p=1).argmin(dim=1)
        torch.testing.assert_close(found.boxes[sure][order], target.boxes, atol=1e-4, rtol=0)
        assert torch.equal(found.labels[sure][order], target.labels)


def test_objects_of_one_class_in_one_cell_are_found_as_one_and_of_two_classes_as_two():
    head = make(CenterNet, width=16)
    features, _ = scenes(head, images=1)
    boxes = torch.tensor([[10.0, 10, 40, 40], [21, 22, 30, 29]])
    cells = cells_of((boxes[:, :2] + boxes[:, 2:]) / 2, 4, features.extent[0])
    assert torch.equal(cells[0], cells[1])
    for labels, count in (((1, 1), 1), ((1, 2), 2)):
        target = BoxTarget(boxes, torch.tensor(labels), torch.zeros(2, dtype=torch.bool))
        output = oracle(head, features, [target])
        assert all(term.isfinite() for term in head.loss(output, [target]).values())
        (found,) = head.decode(output, (96, 128))
        assert (found.scores > 0.5).sum() == count


def test_sizes_are_learnt_at_the_middles_only_and_crowds_teach_nothing():
    head = stirred(make(CenterNet, width=16))
    features, targets = scenes(head, images=2)
    count = len(targets[0].boxes)
    crowd = [replace(t, crowd=torch.ones_like(t.crowd)) for t in targets]
    output = head(features)
    maps = (output.heat, output.size, output.offset)
    gradients = torch.autograd.grad(sum(head.loss(output, targets).values()), maps)
    for gradient in gradients[1:]:
        assert (gradient[0].abs().sum(dim=0) > 0).sum() == count
    output = head(features)
    maps = (output.heat, output.size, output.offset)
    heat, size, offset = torch.autograd.grad(sum(head.loss(output, crowd).values()), maps)
    assert not size.any() and not offset.any() and heat.any()
    for i, target in enumerate(targets):
        for box in target.boxes:
            x1, y1, x2, y2 = (box / head.stride + torch.tensor([0.5, 0.5, -0.5, -0.5])).round().int().tolist()
            assert not heat[i, :, y1:y2, x1:x2].any()


def test_planted_objects_are_found():
    assert ap50_after(make(CenterNet, width=32), steps=80) > 0.8
