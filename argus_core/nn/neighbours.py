"""Exact nearest neighbours by inner product, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from argus_core.nn.numerics import full_precision, multiplies_bf16

QUERIES = 2048
"""Queries per search."""
CHUNK, CPU_CHUNK = 65536, 2048
"""Bank vectors at a time; on a CPU so few that their similarities stay in its cache until they are compared."""
GROUP = 64
"""Similarities per group; a group is skipped if its largest one is too small."""
RAISED = (8, 64)
"""After how many chunks the smallest similarity that is kept is estimated again."""
ROUNDED = 64
"""With as many queries a CPU with products in bfloat16 sieves by these, and computes exactly what is left."""
UNIT = 2.0**-8
"""The largest relative error of rounding to bfloat16."""
Nearest = tuple[Tensor, Tensor]
"""Inner products (Q, k) and the rows of the bank (Q, k) they belong to."""
Lowest = Callable[[Tensor], Tensor]
"""Of computed products, below which no computed product lies whose exact one is as large."""


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, k: int, chunk: int = 0) -> Nearest:
    """The ``k`` largest inner products of each query (Q, D) with the ``bank`` (N, D), and the rows of these.

    Both are (Q, min(k, N)), the largest first; among equal ones the order is arbitrary. Computed in float32 on the
    queries' device, whatever the dtype of the bank. Besides queries, bank and result it takes
    ``4 * chunk * (min(Q, 2048) + 3 * D)`` bytes, and on a CPU less than ``8 * min(Q, 2048) * (5 * k + 2000)`` more:
    86 MB for k = 200 and D = 768, for a bank of any length. ``chunk`` is the number of bank vectors compared at a time;
    0 chooses it for the device.
    """
    k = min(k, len(bank))
    chunk = chunk or (CPU_CHUNK if queries.device.type == "cpu" else CHUNK)
    # The sieve has to know how many similarities pass, for which a GPU would have to wait.
    long = len(bank) > 200 * k > 0 and len(queries) > 0
    search = _sieve if long and queries.device.type == "cpu" else _scan
    with full_precision(queries.device):
        found = [search(part.float(), bank, k, chunk) for part in queries.split(QUERIES)]
    values, rows = zip(*found, strict=True)
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
    rounded = len(queries) >= ROUNDED and multiplies_bf16()
    lowest: Lowest = _lowest_rounded(queries, bank, chunk) if rounded else lambda products: products
    kept, threshold = _sift(queries.bfloat16() if rounded else queries, bank, k, chunk, lowest)
    best, order = kept.values[:, : max(k, kept.longest)].topk(k, dim=1)
    chosen = kept.rows.gather(1, order).long()
    sure = (best[:, -1:] >= threshold)[:, 0] & (kept.counts >= k) & (kept.counts <= kept.room)
    if rounded:
        least = lowest(best[:, -1:])
        for number in sure.nonzero()[:, 0].tolist():
            rows = kept.rows[number, kept.values[number] >= least[number]]
            best[number], order = torch.mv(bank.index_select(0, rows).float(), queries[number]).topk(k)
            chosen[number] = rows[order]
    missed = (~sure).nonzero()[:, 0]
    if len(missed):
        best[missed], chosen[missed] = _scan(queries[missed], bank, k, chunk)
    return best, chosen


def _sift(queries: Tensor, bank: Tensor, k: int, chunk: int, lowest: Lowest) -> tuple[_Kept, Tensor]:
    """Products above ``lowest`` of a threshold (Q, 1), all of them where there is room, and the threshold."""
    chunks = math.ceil(len(bank) / chunk)
    parts = [bank[first::chunks] for first in range(chunks)]  # each a fair sample, in whatever order the bank is
    width = math.ceil(len(parts[0]) / GROUP) * GROUP
    products = queries.new_full((len(queries), width), -math.inf)
    kept = _Kept(len(queries), room=4 * k + 1000)
    threshold = torch.full((len(queries), 1), -math.inf)
    for first, filled in enumerate(_multiply(queries, parts, products)):
        products[:, filled.shape[1] :] = -math.inf
        if first == 0:
            threshold = _likely(products, k / chunks)
        elif first in RAISED:
            threshold = threshold.maximum(_likely(kept.values[:, : kept.longest], k * first / chunks))
        query, column, value = _above(products, lowest(threshold))
        kept.add(query, column * chunks + first, value)
    return kept, threshold


def _lowest_rounded(queries: Tensor, bank: Tensor, chunk: int) -> Lowest:
    """``Lowest`` where queries, bank and products are rounded to bfloat16."""
    length, loss = _rounding(queries)
    longest, largest = (torch.stack(each).max() for each in zip(*map(_extremes, bank.split(chunk)), strict=True))
    # By the inequality of Cauchy and Schwarz; the last part is what sums in float32 are off.
    error = loss * (longest + largest) + length * largest + 2.0**-22 * queries.shape[1] * length * longest
    return lambda products: products - 2.02 * (error + UNIT * products.abs())


def _rounding(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The lengths (N, 1) of vectors in float32, and of what they lose when they are rounded to bfloat16."""
    lost = vectors.bfloat16().float().sub_(vectors)
    return vectors.norm(dim=1, keepdim=True), lost.norm(dim=1, keepdim=True)


def _extremes(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each that ``_rounding`` gives."""
    length, loss = _rounding(vectors.float())
    return length.max(), loss.max()


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
        return torch.full((len(values), 1), -math.inf)
    return values.topk(rank, dim=1)[0][:, -1:].float()


def _above(products: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, column and value of all ``products`` (Q, n) that are larger than the query's ``threshold`` (Q, 1)."""
    groups = products.view(len(products), products.shape[1] // GROUP, GROUP)
    query, group = (groups.amax(2) > threshold).nonzero(as_tuple=True)
    values = groups.flatten(0, 1).index_select(0, query * groups.shape[1] + group)
    pair, member = (values > threshold[query]).nonzero(as_tuple=True)
    return query[pair], group[pair] * GROUP + member, values[pair, member].float()


def _multiply(queries: Tensor, parts: Iterable[Tensor], out: Tensor) -> Iterator[Tensor]:
    """Inner products of the queries with each part of a bank; the next ones overwrite them in ``out`` (Q, n)."""
    block = queries.new_zeros(out.shape[1], queries.shape[1])
    for part in parts:
        vectors = part
        if part.dtype != block.dtype:
            block[: len(part)].copy_(part)
            vectors = block  # whole: products of an even size are faster
        torch.mm(queries, vectors.T, out=out[:, : len(vectors)])
        yield out[:, : len(part)]
