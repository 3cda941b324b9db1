"""A classification head solved in closed form, whose temperature is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core import ArgusError, Classify, FeatureInfo, Features, Head, Needs, Recipe
from argus_core.tasks.classify import ClassTarget
from argus_core.tokens import cell_mask

GRID = torch.logspace(-4, 2, 25, dtype=torch.float64)
"""Penalties to choose from, in units of the features' mean variance times the number of images."""


class Ridge(Head):
    """Ridge regression of one-hot targets on the CLS token and, with ``pool``, on the mean of the cells.

    ``penalty`` is in units of the features' mean variance, per image; 0 chooses it by generalised cross-validation.
    The loss, cross-entropy with label ``smoothing``, trains one number: the temperature of the probabilities.
    """

    solves = Classify
    recipe = Recipe(lr=0.1, batch=64, epochs=4, weight_decay=0)

    weight: Tensor
    bias: Tensor
    used: Tensor

    def __init__(
        self, info: FeatureInfo, task: Classify, *, penalty: float = 0.0, smoothing: float = 0.05, pool: bool = False
    ) -> None:
        super().__init__(info, task)
        if penalty < 0 or not 0 <= smoothing < 1:
            raise ArgusError(f"penalty={penalty}, smoothing={smoothing}: give penalty >= 0 and 0 <= smoothing < 1")
        self.needs = Needs(maps=pool, cls=True)
        self.penalty, self.smoothing = penalty, smoothing
        channels = info.channels[-1] * (2 if pool else 1)
        self.register_buffer("weight", torch.zeros(channels, len(task.classes)))
        self.register_buffer("bias", torch.zeros(len(task.classes)))
        self.register_buffer("used", torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(1))

    def fit(self, batches: Iterable[tuple[Features, Sequence[ClassTarget]]]) -> None:
        """Sum in one pass, in float64 so that the order of images does not matter, and solve."""
        channels, classes = self.weight.shape
        sums = _Sums.zeros(channels, classes, self.weight.device)
        for features, targets in batches:
            labels = torch.stack([target.label for target in targets])
            sums.add(self.vectors(features).double(), F.one_hot(labels, len(self.bias)).double())
        weight, bias, used = solve(sums, self.penalty)
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.used.fill_(used)

    def forward(self, features: Features) -> Tensor:
        """Logits (B, K)."""
        return self.log_scale.exp() * (self.vectors(features) @ self.weight + self.bias)

    def vectors(self, features: Features) -> Tensor:
        """(B, C): the CLS token and, if there are maps, the mean over the cells with image."""
        if not features.maps:
            return features.cls[-1]
        grid = (features.map.shape[2], features.map.shape[3])
        cells = cell_mask(features.extent, self.info.strides[-1], grid).sum(dim=(2, 3))  # padding is zero
        return torch.cat([features.cls[-1], features.map.sum(dim=(2, 3)) / cells.clamp(min=1)], dim=1)

    def loss(self, output: Tensor, targets: Sequence[ClassTarget]) -> dict[str, Tensor]:
        """Smoothed cross-entropy."""
        labels = torch.stack([target.label for target in targets])
        return {"cross_entropy": F.cross_entropy(output.float(), labels, label_smoothing=self.smoothing)}

    def notes(self) -> list[str]:
        """The penalty of the solution."""
        return (
            [f"ridge penalty {self.used:.3g} of the mean variance"] if self.used else ["not fitted: all classes alike"]
        )


@dataclass
class _Sums:
    """Sums over images that determine the solution: of vectors x (C), one-hot targets y (K), and products."""

    count: int
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor

    @classmethod
    def zeros(cls, channels: int, classes: int, device: torch.device) -> _Sums:
        """The sums over no images."""
        shapes = ((channels,), (classes,), (channels, channels), (channels, classes))
        return cls(0, *(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add a batch (B, C), (B, K)."""
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx += x.T @ x
        self.xy += x.T @ y


def solve(sums: _Sums, penalty: float) -> tuple[Tensor, Tensor, float]:
    """Weight (C, K), bias (K,) and the penalty used; the bias is not penalised."""
    if not sums.count:
        raise ArgusError("ridge regression needs training images, and there are none")
    mean_x, mean_y = sums.x / sums.count, sums.y / sums.count
    xx = sums.xx - sums.count * torch.outer(mean_x, mean_x)
    xy = sums.xy - sums.count * torch.outer(mean_x, mean_y)
    yy = (sums.count * mean_y * (1 - mean_y)).sum()
    values, basis = torch.linalg.eigh(xx)
    values, rotated = values.clamp(min=0), basis.T @ xy
    unit = values.mean().clamp(min=1e-12)
    used = penalty or cross_validated(values / unit, rotated / unit.sqrt(), float(yy), sums.count)
    weight = basis @ (rotated / (values + used * unit)[:, None])
    return weight, mean_y - mean_x @ weight, used


def cross_validated(values: Tensor, rotated: Tensor, yy: float, count: int) -> float:
    """The penalty of ``GRID`` with the least generalised cross-validation error (Golub, Heath and Wahba 1979).

    ``values`` (C,) are eigenvalues of the features' covariance, ``rotated`` (C, K) their products with the targets
    in the basis of its eigenvectors, ``yy`` the targets' sum of squares.
    """
    grid = GRID.to(values.device)[:, None]
    inverse = 1 / (values + grid)  # (penalties, C)
    residual = yy - (rotated.square().sum(dim=1) * inverse * (1 + grid * inverse)).sum(dim=1)
    # From the share that is lost, not from the share that remains, which may be all of it up to rounding.
    freedom = count - 1 - len(values) + (grid * inverse).sum(dim=1)
    return float(GRID[(residual.clamp(min=0) / freedom.clamp(min=1e-9).square()).argmin()])
