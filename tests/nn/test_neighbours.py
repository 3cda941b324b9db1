"""The nearest neighbours are those of all similarities, in whatever order and however often vectors are in the bank."""

from __future__ import annotations

import pytest
import torch

from argus_core.nn import nearest, neighbours

BANK, QUERIES, SIZE = 9_000, 11, 16
CHUNK = 100


def shuffled(bank, queries):
    return bank


def by_likeness(bank, queries):
    return bank[(bank @ queries[0]).argsort()]


def few_kinds(bank, queries):
    return bank[torch.randint(40, (len(bank),), generator=torch.Generator().manual_seed(2))]


def all_equal(bank, queries):
    return bank[:1].repeat(len(bank), 1)


def best_in_one_chunk(bank, queries):
    """All that is near the first query at distances of the number of chunks, where one chunk holds it."""
    order = torch.arange(len(bank)).view(CHUNK, -1).T.flatten()
    made = torch.empty_like(bank)
    made[order] = bank[(bank @ queries[0]).argsort(descending=True)]
    return made


def nearly_equal(bank, queries):
    """Similarities that differ less than numbers of 16 bits do."""
    return bank[:1] + 1e-3 * bank


ORDERS = (shuffled, by_likeness, few_kinds, all_equal, best_in_one_chunk, nearly_equal)


@pytest.fixture(params=[False, True], ids=["", "rounded"])
def rounded(request, monkeypatch):
    """Whether rounded products say which exact ones are computed, whatever this CPU can do."""
    monkeypatch.setattr(neighbours, "multiplies_bf16", lambda: request.param)
    monkeypatch.setattr(neighbours, "ROUNDED", 1)
    return request.param


@pytest.mark.parametrize(("k", "dtype"), [(1, torch.float32), (44, torch.float16), (700, torch.float32)], ids=str)
@pytest.mark.parametrize("chunk", [0, 7, CHUNK])
@pytest.mark.parametrize("order", ORDERS)
def test_they_are_the_nearest_of_all(order, chunk, k, dtype, rounded):
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(QUERIES, SIZE, generator=generator)
    bank = order(torch.randn(BANK, SIZE, generator=generator), queries).to(dtype)
    values, rows = nearest(queries, bank, k, chunk)
    assert torch.allclose(values, (queries @ bank.float().T).topk(k, dim=1)[0], atol=1e-5)
    assert torch.allclose(values, (queries[:, None] * bank[rows].float()).sum(2), atol=1e-5)
    assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_what_rounding_may_hide_is_not_lost(scale):
    """No rounded product of a vector lies below the bound that its exact product allows for."""
    generator = torch.Generator().manual_seed(3)
    queries, bank = (scale * torch.randn(size, SIZE, generator=generator) for size in (QUERIES, BANK))
    exact = queries.double() @ bank.double().T
    computed = (queries.bfloat16() @ bank.bfloat16().T).float()
    lowest = neighbours._lowest_rounded(queries, bank, CHUNK)
    order = exact.argsort(dim=1, descending=True)
    # The kth largest computed product allows for all vectors whose exact product is among the k largest.
    for k in (1, 10, 1000):
        kth = computed.topk(k, dim=1)[0][:, -1:]
        assert (computed.gather(1, order[:, :k]) >= lowest(kth)).all()


def test_queries_that_are_no_numbers_change_no_others(rounded):
    generator = torch.Generator().manual_seed(4)
    queries, bank = (torch.randn(size, SIZE, generator=generator) for size in (QUERIES, BANK))
    expected = nearest(queries, bank, 5)
    queries[3] = torch.nan
    others = [number for number in range(QUERIES) if number != 3]
    for values, wanted in zip(nearest(queries, bank, 5), expected, strict=True):
        assert values[others].equal(wanted[others])


def test_a_short_bank_and_no_queries():
    bank = torch.randn(3, SIZE)
    assert nearest(bank, bank, 5)[1].sort(dim=1)[0].tolist() == [[0, 1, 2]] * 3
    assert nearest(bank[:0], torch.randn(BANK, SIZE), 5)[0].shape == (0, 5)
