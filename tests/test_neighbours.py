"""Exact neighbours against brute force, whatever the chunks, the order of the bank and its number format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core import neighbours
from argus_core.neighbours import nearest

faiss = pytest.importorskip("faiss", reason="the outside reference")


def drawn(count, size=16, seed=0):
    vectors = torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
    return F.normalize(vectors, dim=1)


def check(queries, bank, k, found):
    """The values are the k largest, in order, and each is the product with the row it names, which is named once."""
    values, rows = found
    products = queries.double() @ bank.double().T
    k = min(k, len(bank))
    assert values.shape == rows.shape == (len(queries), k)
    assert values.dtype == torch.float32 and rows.dtype == torch.long
    expected = products.sort(dim=1, descending=True).values[:, :k].float()
    torch.testing.assert_close(values, expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(products.gather(1, rows).float(), values, atol=2e-6, rtol=0)
    assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("chunk", [0, 1, 7, 32, 64, 500])
def test_any_chunk_gives_the_same(chunk, dtype):
    queries, bank = drawn(5, seed=1), drawn(333).to(dtype)
    for k in (1, 3, 200, 1000):
        check(queries, bank, k, nearest(queries, bank, k, chunk))


@pytest.mark.parametrize("count", [4096, 5000, 5001])
@pytest.mark.parametrize("k", [1, 10, 20])
def test_a_long_bank_is_sieved(count, k, monkeypatch):
    scanned = []
    scan = neighbours._scan
    monkeypatch.setattr(neighbours, "_scan", lambda *args: scanned.append(len(args[1])) or scan(*args))
    queries, bank = drawn(300, seed=1), drawn(count).half()
    check(queries, bank, k, nearest(queries, bank, k, 512))
    assert scanned[0] == len(bank[:: neighbours.SAMPLE]) and len(scanned) <= 2


def test_faiss_finds_the_same():
    queries, bank = drawn(20, 64, seed=1), drawn(5000, 64)
    index = faiss.IndexFlatIP(64)
    index.add(bank.numpy())
    expected, rows = index.search(queries.numpy(), 20)
    values, found = nearest(queries, bank, 20)
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-6)
    assert (found.numpy() == rows).all()


def test_a_bank_in_any_order_is_searched_exactly():
    queries, bank = drawn(40, seed=1), drawn(6000)
    towards = (bank @ queries[0]).argsort()
    for order in (towards, towards.flip(0), towards.view(100, 60).T.flatten()):  # the last misleads the sample
        check(queries, bank[order], 10, nearest(queries, bank[order], 10, 256))


def test_the_sample_may_hold_all_of_the_best_or_none():
    queries = drawn(3, seed=1)
    for first in (0, 1):
        bank = drawn(5000) * 0.1
        bank[first :: neighbours.SAMPLE] = queries[0]
        check(queries, bank, 8, nearest(queries, bank, 8, 512))


def test_equal_vectors_are_each_found_once():
    queries = drawn(4, seed=1)
    for bank in (torch.zeros(4500, 16), drawn(1).expand(4500, 16).contiguous(), drawn(9).repeat(500, 1)):
        check(queries, bank, 10, nearest(queries, bank, 10, 512))


def test_many_queries_are_answered_in_parts(monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", 8)
    queries, bank = drawn(21, seed=1), drawn(3000)
    check(queries, bank, 5, nearest(queries, bank, 5))


def test_nothing_to_look_for_or_in():
    for queries, bank, k in ((0, 9, 3), (2, 0, 3), (2, 9, 0), (0, 3000, 3)):
        values, rows = nearest(drawn(queries), drawn(bank), k)
        assert values.shape == rows.shape == (queries, min(k, bank))


def test_autocast_and_gradients_do_not_matter():
    queries, bank = drawn(5, seed=1).requires_grad_(), drawn(3000)
    with torch.autocast("cpu", torch.bfloat16):
        inside = nearest(queries, bank, 10)
    assert all(torch.equal(a, b) for a, b in zip(inside, nearest(queries, bank, 10), strict=True))
    assert not inside[0].requires_grad


def test_queries_and_bank_are_left_alone():
    queries, bank = drawn(5, seed=1), drawn(3000)
    before = queries.clone(), bank.clone()
    nearest(queries, bank, 10)
    assert torch.equal(queries, before[0]) and torch.equal(bank, before[1])


def test_shapes_are_known_without_values():
    values, rows = nearest(torch.empty(3, 8, device="meta"), torch.empty(5000, 8, device="meta"), 10)
    assert values.shape == rows.shape == (3, 10) and values.device.type == "meta"
