"""Exact nearest neighbours by inner product, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

QUERIES = 2048
"""Queries that are answered together."""
CHUNK, CPU_CHUNK = 65536, 2048
"""Bank vectors at a time; on a CPU so few that their similarities are still in its cache when they are looked at."""
SAMPLE = 100
"""One bank vector in so many is compared first, to learn which similarities are worth keeping."""
GROUP = 32
"""Similarities that are looked at through their largest."""
Found = tuple[Tensor, Tensor]


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, k: int, chunk: int = 0) -> Found:
    """The ``k`` largest inner products of each query (Q, D) with the ``bank`` (N, D), and the rows they are with.

    Both are (Q, min(k, N)), the largest first; of equal ones any may come first or be kept. Computed in float32
    on the queries' device, whatever the bank is stored in. Beside queries, bank and answer it takes
    ``4 * chunk * (min(Q, 2048) + D)`` bytes, and on a CPU less than ``8 * min(Q, 2048) * (6 * k + 2500)`` more: 85 MB
    for k = 200 and D = 768, however long the bank is. ``chunk`` is how many bank vectors are compared at a time; 0
    suits the device.
    """
    k = min(k, len(bank))
    chunk = chunk or (CPU_CHUNK if queries.device.type == "cpu" else CHUNK)
    # Looking only at what passes needs to know how much does, for which a GPU would have to wait.
    long = len(bank) > 2 * SAMPLE * k > 0 and len(queries) > 0
    search = _sieve if long and queries.device.type == "cpu" else _scan
    values, rows = zip(*(search(part.float(), bank, k, chunk) for part in queries.split(QUERIES)), strict=True)
    return torch.cat(values), torch.cat(rows)


def _scan(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Found:
    """Keep the best of each chunk and of those before."""
    best = queries.new_zeros(len(queries), 0)
    rows = queries.new_zeros(len(queries), 0, dtype=torch.long)
    for start, found in _similarities(queries, bank, chunk):
        values, columns = found.topk(min(k, found.shape[1]), dim=1)
        values, columns = torch.cat([best, values], dim=1), torch.cat([rows, columns + start], dim=1)
        best, order = values.topk(min(k, values.shape[1]), dim=1)
        rows = columns.gather(1, order)
    return best, rows


def _sieve(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Found:
    """Keep what is larger than a mark that the k-th largest will most likely pass; scan where it does not."""
    expected = k / SAMPLE  # how many of the k largest the sample holds
    rank = math.ceil(expected + 3 * math.sqrt(expected) + 2)
    mark = _scan(queries, bank[::SAMPLE], rank, chunk)[0][:, -1:]
    room = 3 * rank * SAMPLE
    values = queries.new_full((len(queries), room + 1), -math.inf)  # the last column takes what is too much
    rows = torch.zeros_like(values, dtype=torch.int32)
    filled = torch.zeros(len(queries), dtype=torch.long)
    for start, found in _similarities(queries, bank, chunk):
        query, column, value = _above(found, mark)  # in order of query
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


def _above(found: Tensor, mark: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, column and value of everything in ``found`` (Q, n) that is larger than the query's mark (Q, 1)."""
    if found.shape[1] % GROUP or not found.is_contiguous():  # as the last chunk may be
        query, column = (found > mark).nonzero(as_tuple=True)
        return query, column, found[query, column]
    groups = found.view(len(found), found.shape[1] // GROUP, GROUP)
    query, group = (groups.amax(2) > mark).nonzero(as_tuple=True)
    values = groups.flatten(0, 1).index_select(0, query * groups.shape[1] + group)
    pair, member = (values > mark[query]).nonzero(as_tuple=True)
    return query[pair], group[pair] * GROUP + member, values[pair, member]


def _similarities(queries: Tensor, bank: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    """First row and inner products (Q, <= chunk) of each chunk of the bank; the next ones overwrite them."""
    held = queries.new_empty(len(queries), min(chunk, len(bank)))
    block = queries.new_empty(held.shape[1], bank.shape[1])
    for start in range(0, len(bank), chunk):
        part = bank[start : start + chunk]
        part = block[: len(part)].copy_(part) if part.dtype != block.dtype else part
        # With ``out`` nothing is autocast to half precision, and no memory is claimed again and again.
        yield start, torch.mm(queries, part.T, out=held[:, : len(part)])
