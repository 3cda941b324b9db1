"""Exact nearest neighbours by inner product, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

QUERIES = 2048
"""Queries per search."""
CHUNK, CPU_CHUNK = 65536, 2048
"""Bank vectors at a time; on a CPU so few that their similarities stay in its cache until they are compared."""
SAMPLE = 100
"""One in this many bank vectors is compared first, to estimate which similarities are worth keeping."""
GROUP = 32
"""Similarities per group; a group is skipped if its largest one is too small."""
Nearest = tuple[Tensor, Tensor]
"""Inner products (Q, k) and the rows of the bank (Q, k) they belong to."""


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, k: int, chunk: int = 0) -> Nearest:
    """The ``k`` largest inner products of each query (Q, D) with the ``bank`` (N, D), and the rows of these.

    Both are (Q, min(k, N)), the largest first; among equal ones the order is arbitrary. Computed in float32 on the
    queries' device, whatever the dtype of the bank. Besides queries, bank and result it takes
    ``4 * chunk * (min(Q, 2048) + D)`` bytes, and on a CPU less than ``8 * min(Q, 2048) * (6 * k + 2500)`` more: 85 MB
    for k = 200 and D = 768, for a bank of any length. ``chunk`` is the number of bank vectors compared at a time; 0
    chooses it for the device.
    """
    k = min(k, len(bank))
    chunk = chunk or (CPU_CHUNK if queries.device.type == "cpu" else CHUNK)
    # The sieve has to know how many similarities pass, for which a GPU would have to wait.
    long = len(bank) > 2 * SAMPLE * k > 0 and len(queries) > 0
    search = _sieve if long and queries.device.type == "cpu" else _scan
    values, rows = zip(*(search(part.float(), bank, k, chunk) for part in queries.split(QUERIES)), strict=True)
    return torch.cat(values), torch.cat(rows)


def _scan(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Nearest:
    """Keep the best of each chunk and of the previous ones."""
    best = queries.new_zeros(len(queries), 0)
    rows = queries.new_zeros(len(queries), 0, dtype=torch.long)
    for start, products in _similarities(queries, bank, chunk):
        values, columns = products.topk(min(k, products.shape[1]), dim=1)
        values, columns = torch.cat([best, values], dim=1), torch.cat([rows, columns + start], dim=1)
        best, order = values.topk(min(k, values.shape[1]), dim=1)
        rows = columns.gather(1, order)
    return best, rows


def _sieve(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Nearest:
    """Keep products above a threshold that the k-th largest most likely exceeds; scan for queries where it does not."""
    expected = k / SAMPLE  # how many of the k largest the sample holds
    rank = math.ceil(expected + 3 * math.sqrt(expected) + 2)
    threshold = _scan(queries, bank[::SAMPLE], rank, chunk)[0][:, -1:]
    room = 3 * rank * SAMPLE
    values = queries.new_full((len(queries), room + 1), -math.inf)  # the last column takes the excess
    rows = torch.zeros_like(values, dtype=torch.int32)
    filled = torch.zeros(len(queries), dtype=torch.long)
    for start, products in _similarities(queries, bank, chunk):
        query, column, value = _above(products, threshold)  # in order of query
        count = torch.bincount(query, minlength=len(queries))
        place = torch.arange(len(query)) + (filled - count.cumsum(0) + count)[query]
        values[query, place.clamp_(max=room)] = value
        rows[query, place] = (column + start).int()
        filled += count
    best, order = values[:, : min(max(k, int(filled.max())), room)].topk(k, dim=1)
    chosen = rows.gather(1, order).long()
    missed = ((filled < k) | (filled > room)).nonzero()[:, 0]
    if len(missed):
        best[missed], chosen[missed] = _scan(queries[missed], bank, k, chunk)
    return best, chosen


def _above(products: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, column and value of all ``products`` (Q, n) that are larger than the query's ``threshold`` (Q, 1)."""
    if products.shape[1] % GROUP or not products.is_contiguous():  # possible for the last chunk
        query, column = (products > threshold).nonzero(as_tuple=True)
        return query, column, products[query, column]
    groups = products.view(len(products), products.shape[1] // GROUP, GROUP)
    query, group = (groups.amax(2) > threshold).nonzero(as_tuple=True)
    values = groups.flatten(0, 1).index_select(0, query * groups.shape[1] + group)
    pair, member = (values > threshold[query]).nonzero(as_tuple=True)
    return query[pair], group[pair] * GROUP + member, values[pair, member]


def _similarities(queries: Tensor, bank: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """First row and inner products (Q, <= chunk) of each chunk of the bank; the next chunk overwrites them."""
    products = queries.new_empty(len(queries), min(chunk, len(bank)))
    block = queries.new_empty(products.shape[1], bank.shape[1])
    for start in range(0, len(bank), chunk):
        part = bank[start : start + chunk]
        part = block[: len(part)].copy_(part) if part.dtype != block.dtype else part
        # ``out`` prevents autocast to half precision, and repeated allocation of memory.
        yield start, torch.mm(queries, part.T, out=products[:, : len(part)])
