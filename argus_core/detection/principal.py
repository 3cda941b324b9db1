"""Principal components of tokens that pass by in batches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from argus_core.errors import ArgusError


def principal_components(batches: Iterable[Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), the ``count`` strongest directions (count, C), and the deviations (count,) along them.

    ``batches`` are (n, C) each; sums are float64, so that how rows come in batches does not matter, and so is the
    result. No other ``count`` directions leave a smaller error (Eckart & Young 1936). Raises ArgusError for no rows.
    """
    rows, total, square = 0, torch.zeros(()), torch.zeros(())
    for batch in batches:
        x = batch.double()
        rows, total, square = rows + len(x), total.to(x) + x.sum(dim=0), square.to(x) + x.T @ x
    if not rows:
        raise ArgusError("principal components need tokens, and the training split gives none")
    mean = total / rows
    variances, directions = torch.linalg.eigh(square / rows - mean[:, None] * mean)  # ascending
    strongest = directions.T.flip(0)[:count]
    # A direction and its opposite are equally right: let the largest entry be positive.
    sign = strongest.gather(1, strongest.abs().argmax(dim=1, keepdim=True)).sign()
    return mean, sign * strongest, variances.flip(0)[:count].clamp(min=0).sqrt()
