"""Mutual attention: symmetric, blind to order, silent at the start, and deaf to padding."""

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred, tensors

from argus_core.errors import ArgusError
from argus_core.tokens import Features
from argus_heads.experimental.mutual_attention import Mutual, MutualAttention, MutualBlock, log_mutual

GRID = (5, 7)
SEEN = torch.ones(2, 35, dtype=torch.bool)


def block(width=24, heads=3):
    torch.manual_seed(0)
    return stirred(MutualBlock(width, heads))


def without_places(block):
    """The block with the same geometry bias for all pairs."""
    torch.nn.init.zeros_(block.attention.geometry[-1].weight)
    return block


def test_the_size_is_the_specified_one():
    assert size_of(MutualAttention(VITB, COCO)) == 2_319_634


def test_weights_are_both_softmaxes_multiplied_and_ordinary_ones_are_not_symmetric():
    attention = block().attention
    scores = attention.scores(4 * torch.randn(2, 35, 24), attention.bias(GRID, torch.device("cpu")), SEEN)
    torch.testing.assert_close(scores, scores.transpose(2, 3))
    mutual = log_mutual(scores).exp()
    torch.testing.assert_close(mutual, scores.softmax(dim=-1) * scores.softmax(dim=-2))
    assert (mutual - mutual.transpose(2, 3)).abs().max() < 1e-6
    assert (scores.softmax(dim=-1) - scores.softmax(dim=-2)).abs().max() > 0.3
    assert (mutual.sum(dim=-1) <= 1 + 1e-6).all() and mutual.sum(dim=-1).min() < 0.9


def test_a_cell_does_not_listen_to_one_that_does_not_listen_back():
    """A hub that everybody is drawn to, but which is drawn to one partner alone."""
    scores = torch.zeros(6, 6)
    scores[0, 1:] = scores[1:, 0] = 5
    scores[0, 1] = scores[1, 0] = 20
    plain, mutual = scores.softmax(dim=-1), log_mutual(scores).softmax(dim=-1)
    assert plain[2, 0] > 0.9 and mutual[2, 0] < 0.01
    assert plain[1, 0] > 0.9 and mutual[1, 0] > 0.9


def test_the_bias_is_that_of_each_pair_of_cells():
    attention = block().attention
    bias = attention.bias(GRID, torch.device("cpu"))
    assert bias.shape == (3, 35, 35)
    assert bias.std(dim=(1, 2)).min() > 1e-3
    for i, j in ((0, 34), (8, 3), (20, 20), (6, 28)):
        dy, dx = abs(i // 7 - j // 7), abs(i % 7 - j % 7)
        away = torch.tensor([dy, dx]).float()
        wanted = attention.geometry(torch.cat([away / 16, away.log1p()]))
        torch.testing.assert_close(bias[:, i, j], wanted)
        torch.testing.assert_close(bias[:, j, i], wanted)


def test_a_block_starts_as_the_identity_and_then_every_cell_reaches_every_other():
    torch.manual_seed(0)
    x = torch.randn(2, 35, 24)
    assert torch.equal(MutualBlock(24, 3)(x, GRID, SEEN), x)
    after = block()
    moved = x.clone()
    moved[0, 11] = torch.randn(24)
    change = (after(moved, GRID, SEEN) - after(x, GRID, SEEN)).abs().amax(dim=-1)
    assert (change[0] > 1e-5).all() and not change[1].any()


def test_cells_have_no_order():
    after, order = without_places(block()), torch.randperm(35)
    x = torch.randn(2, 35, 24)
    seen = torch.rand(2, 35) > 0.3
    torch.testing.assert_close(
        after(x[:, order], GRID, seen[:, order]), after(x, GRID, seen)[:, order], atol=1e-5, rtol=1e-5
    )
    placed = block()
    assert (placed(x[:, order], GRID, SEEN) - placed(x, GRID, SEEN)[:, order]).abs().max() > 1e-4
    bias = placed.attention.bias(GRID, torch.device("cpu"))
    whole = log_mutual(placed.attention.scores(x, bias, SEEN))
    torch.testing.assert_close(
        log_mutual(placed.attention.scores(x[:, order], bias[:, order][:, :, order], SEEN)),
        whole[:, :, order][:, :, :, order],
    )


def test_identical_cells_hear_the_same():
    after = without_places(block())
    x = torch.randn(2, 35, 24)
    x[:, 30] = x[:, 4]
    out = after(x, GRID, SEEN)
    torch.testing.assert_close(out[:, 30], out[:, 4])


def test_gates_silence_their_heads_alone():
    attention = block().attention
    x = torch.randn(2, 35, 24)
    attention.out = torch.nn.Identity()
    with torch.no_grad():
        before = attention(x, GRID, SEEN)
        attention.gate[1] = 0
        after = attention(x, GRID, SEEN)
    assert not after[..., 8:16].any() and torch.equal(after[..., :8], before[..., :8])


def test_padding_is_not_heard():
    after = block()
    x, seen = torch.randn(2, 35, 24), torch.arange(35).view(GRID)[None].remainder(7).lt(5).flatten(1).repeat(2, 1)
    noise = torch.where(seen[..., None], x, 50 * torch.randn(2, 35, 24))
    first, second = after(x, GRID, seen), after(noise, GRID, seen)
    assert torch.equal(first[seen], second[seen]) and second.isfinite().all()
    short = after(x[seen].view(2, 25, 24), (5, 5), seen[seen].view(2, 25))
    torch.testing.assert_close(first[seen].view(2, 25, 24), short, atol=1e-5, rtol=1e-5)


def test_recomputing_in_training_changes_nothing():
    head = stirred(make(MutualAttention, width=24, heads=3))
    features, targets = scenes(head)
    with torch.no_grad():
        plain = head(features)
    for a, b in zip(tensors(plain), tensors(head(features)), strict=True):
        assert torch.equal(a, b)
    sum(head.loss(head(features), targets).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.blocks.parameters())


def test_one_image_does_not_hear_another():
    head = stirred(make(MutualAttention, width=24, heads=3))
    features, _ = scenes(head, (80, 112), 3)
    one = Features(tuple(m[1:2] for m in features.maps), (), features.extent[1:2], features.size)
    with torch.no_grad():
        for whole, alone in zip(tensors(head(features)), tensors(head(one)), strict=True):
            torch.testing.assert_close(whole[1:2], alone, atol=1e-4, rtol=1e-4)


def test_heads_must_divide_the_width():
    with pytest.raises(ArgusError, match="multiple of 5"):
        Mutual(24, 5)


def test_planted_objects_are_found():
    assert ap50_after(make(MutualAttention, width=24, heads=3), steps=40, lr=8e-3) > 0.8
