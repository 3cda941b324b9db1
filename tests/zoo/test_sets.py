"""What every set head inherits: matching, loss, decoding; and the attention such heads are made of."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from planted_help import SMALL
from torch import nn

from argus_core.detection import SetHead, SetOutput
from argus_core.detection.attention import Attention, place_code
from argus_core.detection.sets import assignments
from argus_core.errors import ArgusError
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import FeatureInfo

CANVAS = (96, 160)
EXTENT = torch.tensor([[96, 160], [96, 100], [50, 160]])


class Given(SetHead):
    """A head whose outputs are made by hand."""

    def forward(self, features):
        raise NotImplementedError


HEAD = Given(FeatureInfo.vit(8), SMALL)


def scene(extent, count, seed, crowds=0):
    generator = torch.Generator().manual_seed(seed)
    size = extent.flip(0)
    ends = (torch.rand(count + crowds, 2, 2, generator=generator) * size).sort(dim=1).values
    ends[:, 1] = torch.minimum(ends[:, 1] + 1, size)
    labels = torch.randint(3, (count + crowds,), generator=generator)
    return BoxTarget(ends.flatten(1), labels, torch.arange(count + crowds) >= count)


def guesses(images, queries=12, layers=2, seed=0):
    """Random answers, with gradients, inside each image."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for _ in range(layers):
        logits = 2 * torch.randn(images, queries, 3, generator=generator)
        boxes = torch.stack([scene(e, queries, seed + i).boxes for i, e in enumerate(EXTENT[:images])])
        parts.append((logits.requires_grad_(), (boxes + torch.rand(boxes.shape)).requires_grad_()))
    *earlier, (logits, boxes) = parts
    return SetOutput(logits, boxes, EXTENT[:images], earlier=tuple(earlier))


def oracle(targets, queries=12, seed=0):
    """The output that says exactly what is annotated, by queries in random order."""
    generator = torch.Generator().manual_seed(seed)
    logits, boxes = torch.full((len(targets), queries, 3), -20.0), torch.ones(len(targets), queries, 4)
    boxes[..., 2:] = 40
    for i, target in enumerate(targets):
        chosen = torch.randperm(queries, generator=generator)[: len(target.boxes)]
        logits[i, chosen, target.labels] = 20 + torch.rand(len(chosen), generator=generator)
        boxes[i, chosen] = target.boxes
    return SetOutput(logits, boxes, EXTENT[: len(targets)], earlier=((logits, boxes),))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (6, 4), (3, 6), (5, 0), (0, 3)])
def test_the_matching_is_the_cheapest_one_by_brute_force(shape):
    cost = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    ((rows, columns),) = assignments([cost])
    count = min(shape)
    assert len(rows) == len(columns) == len(set(rows.tolist())) == len(set(columns.tolist())) == count
    table = cost if shape[0] >= shape[1] else cost.T
    cheapest = min(sum(table[r, c] for c, r in enumerate(p)) for p in permutations(range(len(table)), table.shape[1]))
    assert cost[rows, columns].sum().item() == pytest.approx(float(cheapest), abs=1e-5)


def test_the_cost_of_a_pair_is_what_it_adds_to_the_loss():
    """One query, one object: matched against unmatched loss differ by the cost but for GIoU's constant."""
    target = scene(EXTENT[0], 1, seed=3)
    output = replace(guesses(1, queries=1), earlier=())
    paid = sum(HEAD.loss(output, [target]).values())
    ignored = sum(HEAD.loss(output, [SMALL.nothing(CANVAS)]).values())
    cost = HEAD._cost(output.logits[0], output.boxes[0], target, EXTENT[0])[0, 0]
    assert (paid - ignored).item() == pytest.approx(cost.item() + HEAD.giou_weight, rel=1e-4)


def test_oracle_round_trip():
    targets = [scene(e, n, seed=n) for e, n in zip(EXTENT, (4, 0, 9), strict=True)]
    output = oracle(targets)
    assert sum(HEAD.loss(output, targets).values()) < 1e-4
    for found, target, extent in zip(HEAD.decode(output, CANVAS), targets, EXTENT.tolist(), strict=True):
        SMALL.check(found, CANVAS)
        SMALL.inside(found, tuple(extent))
        sure = found.scores > 0.5
        assert sure.sum() == len(target.boxes) and (found.scores[~sure] < 1e-6).all()
        order = torch.cdist(target.boxes, found.boxes[sure], p=1).argmin(dim=1) if len(target.boxes) else []
        torch.testing.assert_close(found.boxes[sure][order], target.boxes, atol=1e-4, rtol=0)
        assert torch.equal(found.labels[sure][order], target.labels)


def test_the_order_of_queries_and_of_boxes_means_nothing():
    targets = [scene(e, 5, seed=i) for i, e in enumerate(EXTENT)]
    output, turn, shuffle = guesses(3), torch.randperm(12), torch.randperm(5)
    turned = replace(
        output,
        logits=output.logits[:, turn],
        boxes=output.boxes[:, turn],
        earlier=tuple((a[:, turn], b[:, turn]) for a, b in output.earlier),
    )
    others = [BoxTarget(*(x[shuffle] for x in vars(t).values())) for t in targets]
    for name, value in HEAD.loss(output, targets).items():
        torch.testing.assert_close(HEAD.loss(turned, others)[name], value)
    for one, other in zip(HEAD.decode(output, CANVAS), HEAD.decode(turned, CANVAS), strict=True):
        torch.testing.assert_close(one.boxes, other.boxes)


def test_layers_before_are_supervised_alike_and_crowds_left_out():
    targets = [scene(e, 4, seed=i) for i, e in enumerate(EXTENT)]
    crowded = [scene(e, 4, seed=i, crowds=3) for i, e in enumerate(EXTENT)]
    plain = [BoxTarget(t.boxes[:4], t.labels[:4], t.crowd[:4]) for t in crowded]
    output = guesses(3)
    doubled = replace(output, earlier=((output.logits, output.boxes),) * 2)
    terms = HEAD.loss(doubled, targets)
    torch.testing.assert_close(terms["earlier"], 2 * (terms["cls"] + terms["l1"] + terms["giou"]))
    for a, b in zip(HEAD.loss(output, crowded).values(), HEAD.loss(output, plain).values(), strict=True):
        assert torch.equal(a, b)


def test_terms_are_per_object_of_the_batch():
    targets = [scene(e, n, seed=n) for e, n in zip(EXTENT, (7, 1, 2), strict=True)]
    output = guesses(3)
    whole = HEAD.loss(output, targets)
    for name in whole:
        parts = 0
        for i, target in enumerate(targets):
            earlier = tuple((a[i : i + 1], b[i : i + 1]) for a, b in output.earlier)
            part = SetOutput(output.logits[i : i + 1], output.boxes[i : i + 1], EXTENT[i : i + 1], earlier=earlier)
            parts += HEAD.loss(part, [target])[name] * len(target.boxes)
        torch.testing.assert_close(whole[name], parts / 10)


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 3, 0), (40, 1, 12)])
def test_no_objects_and_more_than_queries_give_finite_gradients(counts):
    targets = [scene(e, n, seed=n) for e, n in zip(EXTENT, counts, strict=True)]
    output = guesses(3)
    sum(HEAD.loss(output, targets).values()).backward()
    for logits, boxes in (*output.earlier, (output.logits, output.boxes)):
        assert logits.grad.isfinite().all() and logits.grad.any()
        assert boxes.grad.isfinite().all() and boxes.grad.any() == any(counts)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["logits", "boxes", "one box"])
def test_a_diverged_head_is_matched_and_decoded_without_a_crash(bad, where):
    targets = [scene(e, 3, seed=i) for i, e in enumerate(EXTENT)]
    output = replace(guesses(3), earlier=())
    broken = (output.logits if where == "logits" else output.boxes).detach().clone()
    broken[(slice(None), 0) if where == "one box" else ...] = bad
    output = replace(output, **{"logits" if where == "logits" else "boxes": broken})
    loss = sum(HEAD.loss(output, targets).values())
    assert loss.isfinite() == (where == "one box")  # a query that nobody wants harms nothing
    for found in HEAD.decode(output, CANVAS):
        SMALL.check(found, CANVAS)


def test_nothing_is_answered_in_padding_nor_by_queries_that_may_not():
    output = guesses(3)
    with torch.no_grad():
        output.logits[:] = 5
        output.boxes[1, 0] = torch.tensor([90.0, 10, 130, 20])  # its middle, 110, lies beyond 100
        output.boxes[1, 1] = torch.tensor([60.0, -10, 130, 20])
        output.boxes[2, 0] = torch.tensor([60.0, 40, 130, 61])
    usable = torch.ones(3, 12, dtype=torch.bool)
    usable[0, 2:] = False
    output = replace(output, usable=usable)
    first, second, third = HEAD.decode(output, CANVAS)
    assert len(first.scores) == 6 and len(second.scores) <= 33 and len(third.scores) <= 33
    assert torch.tensor([60.0, 0, 100, 20]).isclose(second.boxes).all(dim=1).sum() == 3
    for found, extent in zip((first, second, third), EXTENT.tolist(), strict=True):
        SMALL.inside(found, tuple(extent))
    sum(HEAD.loss(output, [scene(e, 5, seed=i) for i, e in enumerate(EXTENT)]).values()).backward()
    felt = output.logits.grad.abs().sum(dim=2) > 0
    assert torch.equal(felt, usable)
    assert output.boxes.grad[0, :2].any() and not output.boxes.grad[0, 2:].any()


def test_at_most_a_hundred_answers():
    output = SetOutput(torch.randn(1, 70, 3), torch.rand(1, 70, 4).sort(dim=2).values * 90, EXTENT[:1])
    (found,) = HEAD.decode(output, CANVAS)
    wanted = output.logits[0].sigmoid().flatten().sort(descending=True).values[:100]
    torch.testing.assert_close(found.scores, wanted)


def test_attention_is_torchs():
    ours, theirs = Attention(24, heads=4), nn.MultiheadAttention(24, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, key, value = torch.randn(2, 5, 24), torch.randn(2, 7, 24), torch.randn(2, 7, 24)
    seen, bias = torch.rand(2, 7) < 0.6, torch.randn(2, 4, 5, 7)
    seen[:, 0] = True
    mask = bias.masked_fill(~seen[:, None, None], -torch.inf).flatten(0, 1)
    answer, weights = theirs(query, key, value, attn_mask=mask, average_attn_weights=False)
    for found, wanted in zip(ours(query, key, value, seen, bias), (answer, weights), strict=True):
        torch.testing.assert_close(found, wanted)
    with pytest.raises(ArgusError, match="multiple of 8"):
        Attention(20)


def test_the_code_of_a_place_tells_places_apart():
    y, x = torch.meshgrid((torch.arange(48) + 0.5) / 48, (torch.arange(48) + 0.5) / 48, indexing="ij")
    places = torch.stack([x, y], dim=-1).flatten(0, 1)
    code = place_code(places, 32)
    assert code.shape == (48 * 48, 32) and code.abs().max() <= 1
    apart = torch.cdist(code, code, compute_mode="donot_use_mm_for_euclid_dist") + 9 * torch.eye(len(code))
    assert apart.min() > 0.3
    half = torch.tensor([0.25, 0.5])
    assert not torch.allclose(place_code(half, 32), place_code(half.flip(0), 32))
