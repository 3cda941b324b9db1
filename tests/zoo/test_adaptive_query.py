"""Queries that look around a place: order means nothing, padding is not seen, and attention does what it says."""

import math
from dataclasses import replace

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred

from argus_core.tokens import cell_mask
from argus_heads.experimental.adaptive_query import AdaptiveQuery, visible_middles

SIZES = {"width": 16, "queries": 9}


def inputs(images=2, tokens=11, width=16, seed=0):
    """Memory, places and a mask of tokens that need not lie on a grid."""
    generator = torch.Generator().manual_seed(seed)
    memory = torch.randn(images, tokens, width, generator=generator)
    seen = torch.rand(images, tokens, generator=generator) < 0.7
    seen[:, 0] = True
    return memory, torch.rand(images, tokens, 2, generator=generator), seen


def flat(answers):
    return [x for answer in answers for x in answer]


def test_the_size_is_the_specified_one():
    assert size_of(AdaptiveQuery(VITB, COCO)) == 2_753_012


@pytest.mark.parametrize("canvas", [(16, 16), (96, 48), (80, 208)])
def test_every_size_gives_one_answer_per_query(canvas):
    head = stirred(make(AdaptiveQuery, **SIZES))
    for images in (1, 3):
        features, targets = scenes(head, canvas, images)
        output = head(features)
        assert output.logits.shape == (images, 9, 3) and output.boxes.shape == (images, 9, 4)
        assert len(output.earlier) == 2
        limit = features.extent.flip(1)[:, None].float()
        middles = (output.boxes[..., :2] + output.boxes[..., 2:]) / 2
        assert (middles > 0).all() and (middles < limit).all()  # no query is spent on padding
        assert all(term.isfinite() for term in head.loss(output, targets).values())


def test_tokens_are_a_set_and_what_is_not_seen_does_not_matter():
    head, (memory, places, seen) = stirred(make(AdaptiveQuery, **SIZES)), inputs()
    wanted = flat(head.decode_queries(memory, places, seen))
    order = torch.randperm(memory.shape[1])
    noise = torch.where(seen[..., None], memory, 100.0)
    for given in ((memory[:, order], places[:, order], seen[:, order]), (noise, places, seen)):
        for a, b in zip(flat(head.decode_queries(*given)), wanted, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    moved = flat(head.decode_queries(memory, places[:, order], seen))  # without its place a token is another one
    assert not torch.allclose(moved[0], wanted[0], atol=1e-3)


def test_what_lies_in_padding_is_not_attended_to():
    head = stirred(make(AdaptiveQuery, **SIZES))
    head.stem = torch.nn.Conv2d(24, 16, 1)  # GroupNorm would hear of it
    features, _ = scenes(head, (96, 128), images=4)
    beyond = ~cell_mask(features.extent, 16, (6, 8))
    noisy = replace(features, maps=(features.map + 50 * beyond,))
    assert beyond.any()
    for a, b in zip(head(features).layers(), head(noisy).layers(), strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_queries_are_a_set():
    head, given = stirred(make(AdaptiveQuery, **SIZES)), inputs()
    before = flat(head.decode_queries(*given))
    order = torch.randperm(9)
    with torch.no_grad():
        head.content.copy_(head.content[order])
        head.places.copy_(head.places[order])
    for a, b in zip(flat(head.decode_queries(*given)), before, strict=True):
        torch.testing.assert_close(a, b[:, order], atol=1e-5, rtol=1e-4)


def test_a_single_visible_token_is_where_all_look():
    head, (memory, places, _) = stirred(make(AdaptiveQuery, **SIZES)), inputs()
    seen = torch.zeros(2, 11, dtype=torch.bool)
    seen[0, 4] = seen[1, 7] = True
    for _, _, looked in head.decode_queries(memory, places, seen):
        torch.testing.assert_close(looked, places[[0, 1], [4, 7]][:, None].expand(-1, 9, -1))


def test_attention_is_a_distribution_and_with_a_narrow_gaze_falls_on_the_nearest_token():
    head, (memory, places, seen) = stirred(make(AdaptiveQuery, **SIZES)), inputs()
    layer, weights = head.layers[0], []
    layer.look.register_forward_hook(lambda _, __, output: weights.append(output[1]))
    at = torch.rand(2, 9, 2)
    layer(torch.randn(2, 9, 16), at, memory, places, seen)
    torch.testing.assert_close(weights[0].sum(dim=-1), torch.ones(2, 8, 9))
    assert not weights[0].masked_select(~seen[:, None, None].expand_as(weights[0])).any()
    with torch.no_grad():
        layer.gaze.weight.zero_()
        layer.gaze.bias.copy_(torch.tensor([0.0, 0.0, -9.0]).repeat(8))
    looked = layer(torch.randn(2, 9, 16), at, memory, places, seen)[1]
    nearest = torch.cdist(at, places).masked_fill(~seen[:, None], math.inf).argmin(dim=2)
    torch.testing.assert_close(looked, places.gather(1, nearest[..., None].expand(-1, -1, 2)))


def test_boxes_follow_the_attention():
    """Where all tokens are moved, the answer's centre moves along, though no token changed."""
    head, (memory, places, seen) = stirred(make(AdaptiveQuery, **SIZES)), inputs()
    with torch.no_grad():
        head.box[-1].weight.zero_()
        head.box[-1].bias.zero_()
    for _, box, looked in head.decode_queries(memory, places, seen):
        torch.testing.assert_close(box[..., :2], looked, atol=1e-5, rtol=0)
        torch.testing.assert_close(box[..., 2:], torch.full_like(box[..., 2:], 0.5))


def test_places_are_shares_of_the_image():
    extent = torch.tensor([[48, 64], [40, 20]])
    places = visible_middles(extent, 16, (3, 4)).view(2, 3, 4, 2)
    columns, rows = torch.tensor([8.0, 24, 40, 56]) / 64, torch.tensor([8.0, 24, 40]) / 48
    torch.testing.assert_close(places[0], torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1))
    torch.testing.assert_close(places[1, :, :2, 0], torch.tensor([8.0, 18]).expand(3, 2) / 20)
    torch.testing.assert_close(places[1, :, 0, 1], torch.tensor([8.0, 24, 36]) / 40)
    assert (places >= 0).all() and (places <= 1).all()


def test_planted_objects_are_found():
    assert ap50_after(make(AdaptiveQuery, width=32, queries=10), steps=70) > 0.8
