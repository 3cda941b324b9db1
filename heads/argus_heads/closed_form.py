"""What can be solved from sums: moments that stream and merge, the linear discriminant, and ridge regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection import centres, covers, grid_points

PENALTIES = 10.0 ** torch.linspace(2, -6, 17, dtype=torch.float64)
"""Ridge penalties that are tried, largest first, as multiples of the mean eigenvalue of the inputs' scatter."""


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter (d, d) about the mean of vectors, float64; ``a + b`` are those of both (Chan 1979).

    Merging is associative and commutative to rounding. Sums about the mean need no pilot shift against cancellation.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def none(cls, dim: int) -> Moments:
        """Those of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Those of the rows of (N, d) ``x``."""
        if not len(x):
            return cls.none(x.shape[1])
        x = x.double()
        mean = x.mean(dim=0)
        return cls(len(x), mean.cpu(), ((x - mean).T @ (x - mean)).cpu())

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count, step = self.count + other.count, other.mean - self.mean
        between = torch.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)


def discriminant(positive: Moments, negative: Moments, shrinkage: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Weight (d,) and bias of Fisher's linear discriminant, whose sigmoid is the posterior of ``positive``.

    So it is for two Gaussians with one covariance and the counts as priors (Fisher 1936). The pooled covariance is
    lifted by ``shrinkage`` times its mean eigenvalue. Both classes need a vector.
    """
    freedom = max(1, positive.count + negative.count - 2)
    pooled = (positive.scatter + negative.scatter) / freedom
    level = pooled.diagonal().mean().clamp(min=1e-12)  # constant vectors separate nothing
    pooled = pooled + shrinkage * level * torch.eye(len(pooled), dtype=pooled.dtype)
    weight = torch.linalg.solve(pooled, positive.mean - negative.mean)
    prior = torch.tensor(positive.count / negative.count, dtype=pooled.dtype).log()
    return weight, prior - weight @ (positive.mean + negative.mean) / 2


def ridge(moments: Moments, inputs: int, penalty: float | None = None) -> Tensor:
    """(inputs + 1, q) least-squares weights from the moments of [x, y], the intercept last and not penalised.

    ``penalty`` is added to the scatter of the x (Hoerl & Kennard 1970); without one, generalised cross-validation
    chooses it (Golub 1979). Without vectors the weights are zero.
    """
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    values, axes = torch.linalg.eigh(xx)
    values, loads = values.clamp(min=0), axes.T @ xy
    if penalty is None:
        penalty = _cross_validated(values, loads, float(moments.scatter.diagonal()[inputs:].sum()), moments.count)
    weights = axes @ (loads / (values + penalty).clamp(min=torch.finfo(values.dtype).tiny)[:, None])
    intercept = moments.mean[inputs:] - moments.mean[:inputs] @ weights
    return torch.cat([weights, intercept[None]])


def _cross_validated(values: Tensor, loads: Tensor, total: float, count: int) -> float:
    """The penalty of least n RSS / (n - df)^2, for eigenvalues (p,), ``loads`` (p, q) and ``total`` scatter of y."""
    penalties = PENALTIES * values.mean()
    raised = values + penalties[:, None]  # (L, p)
    explained = (loads.square().sum(dim=1) * (values + 2 * penalties[:, None]) / raised.square()).sum(dim=1)
    left = count - 1 - (values / raised).sum(dim=1)
    scores = (total - explained).clamp(min=0) / left.square()
    usable = (left > 0) & scores.isfinite()
    return float(penalties[torch.where(usable, scores, torch.inf).argmin()])


ASPECTS = (0.4, 1.0, 2.5)
"""Width over height: upright, square, lying."""


def shape_anchors(sizes: Tensor, scales: int, aspects: Sequence[float] = ASPECTS) -> Tensor:
    """(scales * aspects, 2) widths and heights for boxes of ``sizes`` (N, 2): every scale in every aspect.

    Scales are the medians of sqrt(w h) in as many equally filled bins.
    """
    # The median of bin k of n is the quantile (2 k + 1) / 2 n of all.
    medians = np.quantile(sizes.double().prod(dim=1).sqrt().cpu().numpy(), (np.arange(scales) + 0.5) / scales)
    root = torch.tensor(aspects, dtype=torch.float64).sqrt()
    return (torch.from_numpy(medians)[:, None, None] * torch.stack([root, 1 / root], dim=1)).flatten(0, 1)


def nearest_shape(sizes: Tensor, anchors: Tensor) -> Tensor:
    """(N,) index of the anchor (A, 2) that overlaps each of ``sizes`` (N, 2) most when both are centred."""
    common = torch.minimum(sizes[:, None], anchors).prod(dim=2)
    return (common / (sizes.prod(dim=1)[:, None] + anchors.prod(dim=1) - common)).argmax(dim=1)


def centre_cells(boxes: Sequence[Tensor], extent: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column of the cell that holds each centre of (G_i, 4) boxes, for images of ``extent`` (B, 2)."""
    image = torch.cat([torch.full((len(of),), n, device=of.device) for n, of in enumerate(boxes)])
    last = (extent[image] - 1) // stride  # a centre on the far edge belongs to the last cell
    x, y = torch.minimum(centres(torch.cat(list(boxes))) // stride, last.flip(1)).long().T
    return image, y, x


def uncovered(boxes: Sequence[Tensor], grid: tuple[int, int], stride: int) -> Tensor:
    """(B, h, w) bool: cells whose centre lies outside all (G_i, 4) boxes of their image."""
    xy = grid_points([grid], [stride], boxes[0].device).xy
    covered = [covers(of, xy).any(dim=0) for of in boxes]
    return ~torch.stack(covered).unflatten(1, grid)


def window_means(x: Tensor, mask: Tensor, window: int) -> Tensor:
    """(B, C, h, w) means of ``x`` over ``window`` x ``window`` cells around each; 0 takes the whole image.

    Only cells of ``mask`` (B, 1, h, w) count, and ``x`` must be zero elsewhere. An even window reaches one cell
    farther right and down.
    """
    counts = mask.to(x)
    if window == 0:
        return (x.sum(dim=(2, 3), keepdim=True) / counts.sum(dim=(2, 3), keepdim=True).clamp(min=1)).expand_as(x)
    around = ((window - 1) // 2, window // 2) * 2
    total, share = (F.avg_pool2d(F.pad(values, around), window, stride=1) for values in (x, counts))
    return total / share.clamp(min=1 / window**2)
