"""Sparse queries: exactly the most promising cells are looked at, and nothing else costs or counts."""

from dataclasses import replace

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred

from argus_core.detection import grid_points
from argus_core.model.macs import count_macs
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import cell_mask
from argus_heads.experimental.sparse_query import ConvLN, SparseQuery, near_middles, pooled

GRID = (6, 9)
CANVAS = (96, 144)


def head_of(queries=7, width=16):
    return stirred(make(SparseQuery, width=width, queries=queries))


def inputs(count=30, queries=7, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, count, width, generator=generator)
    promise = torch.randn(2, count, generator=generator)
    return tokens, promise.topk(min(queries, count), dim=1).indices, promise


def everything(chosen):
    return torch.ones_like(chosen, dtype=torch.bool)


def set_promise(head, values):
    """Make the scorer say ``values`` (B, 1, h, w) whatever it sees."""
    head.scorer.register_forward_hook(lambda *_: values)


def test_the_size_is_the_specified_one():
    assert size_of(SparseQuery(VITB, COCO)) == 1_870_741


@pytest.mark.parametrize("canvas", [(16, 16), (96, 144), (48, 208)])
def test_the_chosen_are_the_best_cells_of_the_image(canvas):
    head = head_of()
    features, targets = scenes(head, canvas, images=3)
    output = head(features)
    rows, cols = (-(-side // 16) for side in canvas)
    count = min(7, rows * cols)
    assert output.logits.shape == (3, count, 3) and output.boxes.shape == (3, count, 4)
    inside = cell_mask(features.extent, 16, (rows, cols)).flatten(1)
    for i in range(3):
        promise = output.objectness[i].flatten().masked_fill(~inside[i], -torch.inf)
        wanted = promise.topk(min(count, int(inside[i].sum()))).indices
        assert torch.equal(output.chosen[i][output.usable[i]], wanted)
        assert not inside[i, output.chosen[i][~output.usable[i]]].any()
    assert all(term.isfinite() for term in head.loss(output, targets).values())


def test_a_cell_that_becomes_promising_enters_and_the_worst_leaves():
    head = head_of()
    features, _ = scenes(head, CANVAS, images=1)
    before = head(features)
    chosen = before.chosen[0].tolist()
    outsider = next(cell for cell in range(54) if cell not in chosen)
    raised = before.objectness.clone()
    raised.view(-1)[outsider] = before.objectness.view(-1)[chosen[-1]] + 1e-3
    set_promise(head, raised)
    after = head(features).chosen[0].tolist()
    assert after[:-1] == chosen[:-1] and after[-1] == outsider


def test_only_the_chosen_are_read():
    head, (tokens, chosen, promise) = head_of(), inputs()
    tokens.requires_grad_()
    answers = head.decode_queries(tokens, chosen, promise, everything(chosen))
    sum(x.square().sum() for answer in answers for x in answer).backward()
    felt = tokens.grad.abs().sum(dim=2) > 0
    wanted = torch.zeros_like(felt).scatter(1, chosen, True)
    assert torch.equal(felt, wanted)
    noise = torch.where(wanted[..., None], tokens.detach(), 100.0)
    for a, b in zip(answers, head.decode_queries(noise, chosen, promise, everything(chosen)), strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_the_answers_teach_the_scorer():
    head = head_of()
    features, targets = scenes(head, CANVAS)
    head.objectness_weight = 0.0
    sum(head.loss(head(features), targets).values()).backward()
    assert all(p.grad.any() for p in head.scorer.parameters())


def test_with_room_for_all_cells_the_order_alone_depends_on_the_promise():
    head = head_of(queries=999)
    features, _ = scenes(head, CANVAS, images=1)
    output = head(features)
    assert sorted(output.chosen[0].tolist()) == list(range(54))
    tokens, _, promise = inputs(count=54)
    order = torch.randperm(54)
    straight = torch.arange(54).expand(2, -1)
    dense = head.decode_queries(tokens, straight, promise, everything(straight))
    turned = head.decode_queries(tokens, order.expand(2, -1), promise, everything(straight))
    for a, b in zip(dense, turned, strict=True):
        torch.testing.assert_close(a[0][:, order], b[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(a[1][:, order], b[1], atol=1e-5, rtol=1e-4)


def test_the_layers_cost_the_same_however_many_cells_there_are():
    head, costs = head_of(), []
    for count in (30, 3000):
        tokens, chosen, promise = inputs(count)
        context = torch.randn(2, 100, 16)
        given = (tokens, chosen, promise, everything(chosen), context, torch.ones(2, 100) > 0)
        costs.append(count_macs(lambda given=given: head.decode_queries(*given))[1])
    assert costs[0] == costs[1] > 0


def test_what_lies_in_padding_is_neither_chosen_nor_attended_to():
    head = head_of(queries=50)
    features, _ = scenes(head, CANVAS, images=4)
    beyond = ~cell_mask(features.extent, 16, GRID)
    plain, noisy = head(features), head(replace(features, maps=(features.map + 50 * beyond,)))
    assert not plain.usable.all()
    for a, b in zip(plain.layers(), noisy.layers(), strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    tokens, chosen, promise = inputs()
    usable = torch.arange(7).expand(2, -1) < 5
    tokens2 = tokens.scatter(1, chosen[:, 5:, None].expand(-1, -1, 16), 30.0)
    for a, b in zip(*(head.decode_queries(x, chosen, promise, usable) for x in (tokens, tokens2)), strict=True):
        assert torch.equal(a[0][usable], b[0][usable]) and not torch.equal(a[0], b[0])


def test_context_changes_the_answers_and_unheld_context_does_not():
    head, (tokens, chosen, promise) = head_of(), inputs()
    context, held = torch.randn(2, 10, 16), torch.arange(10).expand(2, -1) < 6
    noise = torch.where(held[..., None], context, 50.0)
    plain, given, noisy = (
        head.decode_queries(tokens, chosen, promise, everything(chosen), *rest)[-1][0]
        for rest in ((), (context, held), (noise, held))
    )
    assert torch.equal(given, noisy) and not torch.allclose(plain, given)


@pytest.mark.parametrize("grid", [(1, 1), (5, 7), (20, 30), (23, 11)])
def test_pooled_context_is_the_mean_of_what_holds_image(grid):
    x = torch.randn(2, 3, *grid)
    inside = torch.ones(2, 1, *grid, dtype=torch.bool)
    inside[1, :, :, (grid[1] + 1) // 2 :] = False
    means, held = pooled(x, inside)
    for i, p in ((0, 0), (0, 99), (1, 0), (1, 37), (1, 99)):
        row, col = divmod(p, 10)
        region = [slice(n * k // 10, -(-n * (k + 1) // 10)) for n, k in zip(grid, (row, col), strict=True)]
        part, where = x[i][:, region[0], region[1]], inside[i, 0, region[0], region[1]]
        assert held[i, p] == where.any()
        if where.any():
            torch.testing.assert_close(means[i, p], part[:, where].mean(dim=1), atol=1e-5, rtol=1e-4)


def test_cells_are_normed_alone():
    block, x = stirred(ConvLN(6, 8, 1)), torch.randn(1, 6, 4, 5)
    moved = x.clone()
    moved[:, :, 2, 3] += 5
    assert (block(moved) != block(x)).any(dim=1)[0].nonzero().tolist() == [[2, 3]]


def test_cells_near_a_middle_are_to_be_chosen_also_for_objects_smaller_than_a_cell():
    points = grid_points([GRID], [16])
    boxes = torch.tensor([[47.0, 47, 49, 49], [0, 0, 20, 20], [96, 64, 144, 96]])
    matched = near_middles(points, boxes).view(GRID)
    assert (matched[2:4, 2:4] == 0).all() and (matched == 0).sum() == 4
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = ((points.xy[:, None] - middles).abs() < 24).all(dim=2)
    assert torch.equal((matched >= 0).flatten(), near.any(dim=1))


def test_a_box_smaller_than_its_cell_can_be_said_exactly_and_scores_are_products():
    head = head_of(queries=5)
    features, _ = scenes(head, CANVAS, images=1)
    target = BoxTarget(torch.tensor([[33.0, 34, 35, 37]]), torch.tensor([1]), torch.tensor([False]))
    cell = 2 * GRID[1] + 2
    promise = torch.full((1, 1, *GRID), -20.0)
    promise.view(-1)[cell] = 2.0
    set_promise(head, promise)
    move = torch.tensor([34 - 40, 35.5 - 40]) / 16
    side = (torch.tensor([2.0, 3]) / 16).log()
    head.box.register_forward_hook(lambda *_: torch.cat([move, side]).expand(1, 5, 4))
    head.classify.register_forward_hook(lambda *_: torch.tensor([-9.0, 1, -9]).expand(1, 5, 3))
    output = head(features)
    found = head.decode(output, CANVAS)[0]
    torch.testing.assert_close(found.boxes[0], target.boxes[0], atol=1e-4, rtol=0)
    expected = torch.tensor(1.0).sigmoid() * torch.tensor(2.0).sigmoid()
    torch.testing.assert_close(found.scores[0], expected)
    terms = head.loss(output, [target])
    assert terms["l1"] < 1e-5 and terms["giou"] < 1e-4


def test_planted_objects_are_found():
    assert ap50_after(make(SparseQuery, width=32, queries=12), steps=60) > 0.8
