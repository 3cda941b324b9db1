"""Exact nearest neighbours of 2,000 queries in 200,000 vectors against faiss; give the number of threads, such as 1."""

from __future__ import annotations

import sys

import faiss
import numpy as np
import torch
import torch.nn.functional as F

from argus_core.nn import nearest
from timing import compare, show

BANK, QUERIES, SIZE = 200_000, 2_000, 768


def main(threads: int) -> None:
    """Print the ratios: 200 neighbours as for classify.knn, and 10; the bank in float32 as in faiss, and in float16."""
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    bank = F.normalize(torch.randn(BANK, SIZE, generator=generator), dim=1)
    queries = F.normalize(torch.randn(QUERIES, SIZE, generator=generator), dim=1)
    index = faiss.IndexFlatIP(SIZE)
    index.add(bank.numpy())
    for k, vectors in ((200, bank), (200, bank.half()), (10, bank)):

        def ours(k: int = k, vectors: torch.Tensor = vectors) -> torch.Tensor:
            return nearest(queries, vectors, k)[1]

        def peer(k: int = k) -> np.ndarray:
            return index.search(queries.numpy(), k)[1]

        both = zip(ours().tolist(), peer().tolist(), strict=True)
        same = np.mean([len({*mine} & {*theirs}) / k for mine, theirs in both])
        what = f"{k} neighbours, {vectors.dtype} bank, {threads} threads, {same:.2%} the same"
        show(what, *compare(ours, peer, 3), "<= 1.0")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
