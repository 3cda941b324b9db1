"""Exact nearest neighbours by inner product, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

QUERIES = 2048
"""Queries per search."""
CHUNK, CPU_CHUNK = 65536, 2048
"""Bank vectors at a time; on a CPU so few that their similarities stay in its cache until they are compared."""
GROUP = 64
"""Similarities per group; a group is skipped if its largest one is too small."""
RAISED = (8, 64)
"""After how many chunks the smallest similarity that is kept is estimated again."""
Nearest = tuple[Tensor, Tensor]
"""Inner products (Q, k) and the rows of the bank (Q, k) they belong to."""


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, k: int, chunk: int = 0) -> Nearest:
    """The ``k`` largest inner products of each query (Q, D) with the ``bank`` (N, D), and the rows of these.

    Both are (Q, min(k, N)), the largest first; among equal ones the order is arbitrary. Computed in float32 on the
    queries' device, whatever the dtype of the bank. Besides queries, bank and result it takes
    ``4 * chunk * (min(Q, 2048) + D)`` bytes, and on a CPU less than ``8 * min(Q, 2048) * (5 * k + 2000)`` more: 73 MB
    for k = 200 and D = 768, for a bank of any length. ``chunk`` is the number of bank vectors compared at a time; 0
    chooses it for the device.
    """
    k = min(k, len(bank))
    chunk = chunk or (CPU_CHUNK if queries.device.type == "cpu" else CHUNK)
    # The sieve has to know how many similarities pass, for which a GPU would have to wait.
    long = len(bank) > 200 * k > 0 and len(queries) > 0
    search = _sieve if long and queries.device.type == "cpu" else _scan
    values, rows = zip(*(search(part.float(), bank, k, chunk) for part in queries.split(QUERIES)), strict=True)
    return torch.cat(values), torch.cat(rows)


def _scan(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Nearest:
    """Keep the best of each chunk and of the previous ones."""
    best = queries.new_zeros(len(queries), 0)
    rows = queries.new_zeros(len(queries), 0, dtype=torch.long)
    start = 0
    for products in _multiply(queries, bank.split(chunk), queries.new_empty(len(queries), min(chunk, len(bank)))):
        values, columns = products.topk(min(k, products.shape[1]), dim=1)
        values, columns = torch.cat([best, values], dim=1), torch.cat([rows, columns + start], dim=1)
        best, order = values.topk(min(k, values.shape[1]), dim=1)
        rows = columns.gather(1, order)
        start += products.shape[1]
    return best, rows


def _sieve(queries: Tensor, bank: Tensor, k: int, chunk: int) -> Nearest:
    """Keep products above a threshold that the k-th largest most likely exceeds; scan for queries where it does not."""
    chunks = math.ceil(len(bank) / chunk)
    parts = [bank[first::chunks] for first in range(chunks)]  # each a fair sample, in whatever order the bank is
    width = math.ceil(len(parts[0]) / GROUP) * GROUP
    products = queries.new_full((len(queries), width), -math.inf)
    kept = _Kept(len(queries), room=4 * k + 1000)
    threshold = queries.new_full((len(queries), 1), -math.inf)
    for first, filled in enumerate(_multiply(queries, parts, products)):
        products[:, filled.shape[1] :] = -math.inf
        if first == 0:
            threshold = _likely(products, k / chunks)
        elif first in RAISED:
            threshold = threshold.maximum(_likely(kept.values[:, : kept.longest], k * first / chunks))
        query, column, value = _above(products, threshold)
        kept.add(query, column * chunks + first, value)
    best, order = kept.values[:, : max(k, kept.longest)].topk(k, dim=1)
    chosen = kept.rows.gather(1, order).long()
    missed = ((best[:, -1:] < threshold)[:, 0] | (kept.counts > kept.room)).nonzero()[:, 0]
    if len(missed):
        best[missed], chosen[missed] = _scan(queries[missed], bank, k, chunk)
    return best, chosen


class _Kept:
    """Values of each query and their rows in the bank, in order of arrival; what exceeds ``room`` is lost."""

    def __init__(self, queries: int, room: int) -> None:
        self.room = room
        self.values = torch.full((queries, room + 1), -math.inf)  # the last column takes the excess
        self.rows = torch.zeros(queries, room + 1, dtype=torch.int32)
        self.counts = torch.zeros(queries, dtype=torch.long)

    @property
    def longest(self) -> int:
        """The columns in use."""
        return min(int(self.counts.max()), self.room)

    def add(self, query: Tensor, row: Tensor, value: Tensor) -> None:
        """Add values in order of query."""
        count = torch.bincount(query, minlength=len(self.counts))
        place = torch.arange(len(query)) + (self.counts - count.cumsum(0) + count)[query]
        place.clamp_(max=self.room)
        self.values[query, place] = value
        self.rows[query, place] = row.int()
        self.counts += count


def _likely(values: Tensor, expected: float) -> Tensor:
    """Per query (Q, n) what most likely fewer than ``expected`` of the largest values overall do not exceed (Q, 1)."""
    rank = math.ceil(expected + 4 * math.sqrt(expected) + 2)
    if rank > values.shape[1]:
        return values.new_full((len(values), 1), -math.inf)
    return values.topk(rank, dim=1)[0][:, -1:]


def _above(products: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, column and value of all ``products`` (Q, n) that are larger than the query's ``threshold`` (Q, 1)."""
    groups = products.view(len(products), products.shape[1] // GROUP, GROUP)
    query, group = (groups.amax(2) > threshold).nonzero(as_tuple=True)
    values = groups.flatten(0, 1).index_select(0, query * groups.shape[1] + group)
    pair, member = (values > threshold[query]).nonzero(as_tuple=True)
    return query[pair], group[pair] * GROUP + member, values[pair, member]


def _multiply(queries: Tensor, parts: Iterable[Tensor], out: Tensor) -> Iterator[Tensor]:
    """Inner products of the queries with each part of a bank; the next ones overwrite them in ``out`` (Q, n)."""
    block = queries.new_empty(out.shape[1], queries.shape[1])
    for part in parts:
        vectors = block[: len(part)].copy_(part) if part.dtype != block.dtype else part
        # ``out`` prevents autocast to half precision, and repeated allocation of memory.
        yield torch.mm(queries, vectors.T, out=out[:, : len(part)])
