"""Pairs of corners: pooling is a maximum, ideal maps give the boxes back, and a box needs both of its corners."""

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred

from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import cell_mask
from argus_heads.experimental.relational_corners import (
    CornerMaps,
    CornerPool,
    CornersOutput,
    RelationalCorners,
    pull_push,
    running_maximum,
)


def head_of(**options):
    return stirred(make(RelationalCorners, width=16, **options))


def oracle(head, features, targets, tags=4.0):
    """Maps that say exactly what is annotated; the tags of two objects are ``tags`` apart."""
    output, kinds = head(features), []
    for maps, end in ((output.first, slice(0, 2)), (output.last, slice(2, 4))):
        heat, tag, offset = torch.full_like(maps.heat, -20), torch.zeros_like(maps.tag), torch.zeros_like(maps.offset)
        for i, target in enumerate(targets):
            last = (features.extent[i].flip(0) - 1) // head.stride
            for number, (box, label) in enumerate(zip(target.boxes, target.labels, strict=True)):
                corner = box[end] / head.stride
                col, row = torch.minimum(corner.floor().long(), last)
                heat[i, label, row, col] = 20
                tag[i, 0, row, col] = tags * number
                offset[i, :, row, col] = corner - torch.stack([col, row])
        kinds.append(CornerMaps(heat, tag, offset))
    return CornersOutput(*kinds, features.extent)


def sure_of_all(head):
    """Let every pair be related."""
    head.relation.register_forward_hook(lambda _, __, logits: torch.full_like(logits, 20.0))
    return head


def assert_found(found, target):
    sure = found.scores > 0.5
    assert sure.sum() == len(target.boxes)
    order = torch.cdist(target.boxes, found.boxes[sure], p=1).argmin(dim=1)
    torch.testing.assert_close(found.boxes[sure][order], target.boxes, atol=1e-4, rtol=0)
    assert torch.equal(found.labels[sure][order], target.labels)


def test_the_size_is_the_specified_one():
    assert size_of(RelationalCorners(VITB, COCO)) == 1_666_549
    assert RelationalCorners(VITB, COCO).stride == 8


@pytest.mark.parametrize("grid", [(5, 7), (1, 1), (6, 2)])
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
def test_the_running_maximum_is_the_maximum_of_all_cells_on_that_side_with_image(grid, forward, dim):
    x = torch.randn(2, 3, *grid) - 4  # below zero: a border of zeros would show
    inside = cell_mask(torch.tensor([[grid[0], grid[1]], [(grid[0] + 1) // 2, (grid[1] + 2) // 3]]), 1, grid)
    found = running_maximum(x, inside, dim, forward)
    for i, k, row, col in torch.cartesian_prod(*map(torch.arange, (2, 3, *grid))).reshape(-1, 4).tolist():
        wanted = 0.0
        if inside[i, 0, row, col]:
            place = (row, col)[dim - 2]
            line, seen = (x[i, k, :, col], inside[i, 0, :, col]) if dim == 2 else (x[i, k, row], inside[i, 0, row])
            side = slice(0, place + 1) if forward else slice(place, None)
            wanted = line[side][seen[side]].max()
        assert found[i, k, row, col] == wanted


def test_what_one_corner_sees_the_other_sees_in_the_turned_image():
    first, last = stirred(CornerPool(8, last=False)), CornerPool(8, last=True).eval()
    turned = {k: v.flip(2, 3) if v.ndim == 4 else v for k, v in first.state_dict().items()}
    last.load_state_dict(turned)
    x, inside = torch.randn(2, 8, 6, 9), torch.ones(2, 1, 6, 9, dtype=torch.bool)
    torch.testing.assert_close(first(x, inside), last(x.flip(2, 3), inside).flip(2, 3), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(first(x, inside), last(x, inside), atol=1e-2)


def test_padding_is_not_gathered():
    pool, x = stirred(CornerPool(8, last=False)), torch.randn(1, 8, 6, 9)
    pool.along = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    pool.skip = pool.merge = torch.nn.Identity()  # norms and kernels may look at padding, the pooling may not
    inside = torch.zeros(1, 1, 6, 9, dtype=torch.bool)
    inside[..., :4, :5] = True
    noise = torch.where(inside, x, 50.0)
    assert torch.equal(pool(x, inside)[..., :4, :5], pool(noise, inside)[..., :4, :5])


@pytest.mark.parametrize(("stride", "canvas"), [(16, (96, 128)), (32, (96, 160)), (8, (80, 104))])
def test_oracle_round_trip(stride, canvas):
    head = sure_of_all(head_of(stride=stride))
    features, targets = scenes(head, canvas, images=6)
    output = oracle(head, features, targets)
    terms = head.loss(output, targets)
    assert terms["heat"] < 1e-5 and terms["offset"] < 1e-8 and terms["pull"] == terms["push"] == 0
    for found, target in zip(head.decode(output, canvas), targets, strict=True):
        assert_found(found, target)


def test_a_box_on_the_images_end_is_found_whole():
    head = sure_of_all(head_of())
    features, _ = scenes(head, (96, 128), images=2)
    ends = features.extent.flip(1).tolist()
    targets = [BoxTarget(torch.tensor([[0.0, 0, *end]]), torch.tensor([2]), torch.tensor([False])) for end in ends]
    for found, target in zip(head.decode(oracle(head, features, targets), (96, 128)), targets, strict=True):
        assert_found(found, target)


def test_without_either_corner_there_is_no_box_and_the_others_stay():
    head = head_of()
    features, targets = scenes(head, images=1, seed=1)
    target = targets[0]
    assert len(target.boxes) > 1
    whole = oracle(head, features, [target])
    sure_of_all(head)
    for kind, end in ((whole.first, 0), (whole.last, 2)):
        heat = kind.heat.clone()
        col, row = (target.boxes[0, end : end + 2] / head.stride).floor().long()
        kind.heat[0, target.labels[0], row, col] = -20
        (found,) = head.decode(whole, (96, 128))
        assert_found(found, BoxTarget(target.boxes[1:], target.labels[1:], target.crowd[1:]))
        kind.heat.copy_(heat)


def test_the_relation_decides_where_tags_do_not():
    head = head_of()
    boxes = torch.tensor([[10.0, 10, 40, 50], [50, 20, 90, 80]])
    target = BoxTarget(boxes, torch.tensor([1, 1]), torch.tensor([False, False]))
    features, _ = scenes(head, images=1)
    output = oracle(head, features, [target], tags=0.0)
    sides = (boxes[:, 2:] - boxes[:, :2]) / head.stride

    def related(_, inputs, logits):
        true = (torch.cdist(inputs[2], sides) < 1e-3).any(dim=1)
        return torch.where(true, 20.0, -20.0)

    head.relation.register_forward_hook(related)
    (found,) = head.decode(output, (96, 128))
    assert_found(found, target)
    assert head.loss(output, [target])["pair"] < 1e-6  # what is true in training is what is a box
    output = oracle(head, features, [target])  # and tags too far apart cannot be outvoted
    output.last.tag.add_(1.01 / 8**0.5)
    assert len(head.decode(output, (96, 128))[0].scores) == 0


def test_tags_of_one_object_attract_and_those_of_two_repel():
    one = torch.randn(1, 8)
    pull, push = pull_push(one, one + 2)
    assert pull == 2 * 8 and push == 0
    same = torch.ones(2, 8, requires_grad=True)
    pull, push = pull_push(same, same)
    assert pull == 0 and push == 1
    (pull + push).backward()
    assert same.grad.isfinite().all()
    first, last = torch.randn(4, 8) / 4, torch.randn(4, 8) / 4
    means = (first + last) / 2
    near = [max(0.0, 1 - float((means[j] - means[k]).norm())) for j in range(4) for k in range(4) if j != k]
    pull, push = pull_push(first, last)
    assert push.item() == pytest.approx(sum(near) / 12, rel=1e-5)
    assert pull.item() == pytest.approx(float((first - last).square().sum() / 2 / 4), rel=1e-5)
    assert pull_push(first[:0], last[:0]) == (0, 0)


def test_true_and_false_pairs_weigh_alike_and_corners_in_crowds_are_no_false_ones():
    head = head_of()
    features, targets = scenes(head, images=1, seed=1)
    output = oracle(head, features, targets, tags=0.0)
    labels = torch.zeros_like(targets[0].labels)
    targets = [BoxTarget(targets[0].boxes, labels, targets[0].crowd)]
    output.first.heat.copy_(output.first.heat.amax(dim=1, keepdim=True).expand_as(output.first.heat))
    output.last.heat.copy_(output.last.heat.amax(dim=1, keepdim=True).expand_as(output.last.heat))
    head.relation.register_forward_hook(lambda _, __, logits: torch.full_like(logits, 3.0))
    yes, no = torch.nn.functional.softplus(torch.tensor([-3.0, 3.0]))
    torch.testing.assert_close(head.loss(output, targets)["pair"], (yes + no) / 2)
    crowd = torch.tensor([[0.0, 0, 128, 96]])
    targets = [
        BoxTarget(
            torch.cat([targets[0].boxes[:1], crowd]), torch.zeros(2, dtype=torch.long), torch.tensor([False, True])
        )
    ]
    torch.testing.assert_close(head.loss(output, targets)["pair"], yes / 2)


def test_planted_objects_are_found():
    assert ap50_after(make(RelationalCorners, width=32), steps=60) > 0.8
