"""A classifier whose classes are frozen vectors: scores are cosines, so new classes need new vectors only."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection.blocks import PRIOR, logit
from argus_core.errors import ArgusError
from argus_core.nn import full_precision

EPS = 1e-6


class CosineClassifier(nn.Module):
    """``exp(logit_scale) * cos(W x, T_j) + cls_bias_j`` for every class vector T_j, in float32.

    ``vectors`` (K, d) is a saved buffer and never trained. W starts as an isometry that spans the vectors
    (``pc_init``), the temperature at 10 (at most 100, as in CLIP, Radford 2021), the bias at a score of 0.01.
    """

    vectors: Tensor

    def __init__(self, width: int, vectors: Tensor) -> None:
        super().__init__()
        self.register_buffer("vectors", F.normalize(vectors.float(), dim=1))
        self.cls_project = nn.Linear(width, vectors.shape[1], bias=False)
        self.cls_bias = nn.Parameter(torch.full((len(vectors),), logit(PRIOR)))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        with torch.no_grad():
            self.cls_project.weight.copy_(pc_init(self.vectors, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, K, h, w) logits."""
        with full_precision(x.device):
            logits = self.logits(self.cosines(x.float().flatten(2)))
        return logits.unflatten(2, (x.shape[2], x.shape[3]))

    def cosines(self, x: Tensor) -> Tensor:
        """(B, width, N) to (B, K, N) cosines in -1..1."""
        return self._direct(x) if self.training else self._folded(x)

    def logits(self, cosines: Tensor) -> Tensor:
        """The logits of (B, K, N) cosines, of each class by itself."""
        return self.scale * cosines + self.cls_bias[:, None]

    @property
    def scale(self) -> Tensor:
        """The temperature that cosines are multiplied by, at most 100."""
        return self.logit_scale.exp().clamp(max=100)

    @torch.no_grad()
    def replace(self, vectors: Tensor) -> None:
        """Set other class vectors (K, d) before training, and W to span them; a class without a vector has zeros."""
        self.vectors.copy_(F.normalize(vectors, dim=1))
        weight = self.cls_project.weight
        weight.copy_(pc_init(self.vectors, weight.shape[1], others=weight))

    @torch.no_grad()
    def append(self, vector: Tensor) -> None:
        """Add a class by its vector (d,); parameters per class start at the mean of the other classes."""
        unit = self._unit(torch.as_tensor(vector, dtype=torch.float64))
        self.vectors = torch.cat([self.vectors, unit.to(self.vectors)[None]])
        for name, value in list(self.named_parameters(recurse=False)):
            if value.ndim == 1:
                setattr(self, name, nn.Parameter(torch.cat([value, value.mean()[None]]), value.requires_grad))

    def _unit(self, vector: Tensor) -> Tensor:
        """A class vector at unit length; raises ArgusError for a wrong shape, or numbers that have no direction."""
        dim = self.vectors.shape[1]
        if vector.shape != (dim,) or not vector.isfinite().all() or not vector.any():
            raise ArgusError(
                f"a class vector has {dim} finite numbers, not all zero; this one is {tuple(vector.shape)}"
            )
        return F.normalize(vector / vector.abs().max(), dim=0)  # in two steps: squares of extremes over- or underflow

    def _direct(self, x: Tensor) -> Tensor:
        return self.vectors @ F.normalize(self.cls_project.weight @ x, dim=1, eps=EPS)

    def _folded(self, x: Tensor) -> Tensor:
        # The same number without ever making d channels: |W x|^2 = x . (W' W x).
        weight = self.cls_project.weight
        square = (x * ((weight.T @ weight) @ x)).sum(dim=1, keepdim=True)  # (B, 1, h * w)
        return (self.vectors @ weight) @ x / square.clamp(min=EPS**2).sqrt()


def pc_init(vectors: Tensor, width: int, others: Tensor | None = None) -> Tensor:
    """(d, width) with orthonormal columns: principal directions of (K, d) ``vectors``, then ``others`` or random ones.

    With ``width`` >= K nothing of the vectors is lost; below, the ``width`` strongest directions are kept.
    The first is the mean that all class names share, which a bias cannot stand in for.
    """
    dim = vectors.shape[1]
    if width > dim:
        raise ArgusError(f"a width of {width} exceeds the {dim} dimensions of the class vectors; use width <= {dim}")
    leading = torch.linalg.svd(vectors, full_matrices=False).Vh.T[:, :width]  # (d, min(K, d, width))
    rest = width - leading.shape[1]
    filling = torch.randn(dim, rest, dtype=vectors.dtype) if others is None else others[:, width - rest :]
    completed = torch.linalg.qr(torch.cat([leading, filling], dim=1)).Q
    # QR may turn a column round, and its directions are exact only to rounding: keep those of the SVD.
    return torch.cat([leading, completed[:, leading.shape[1] :]], dim=1)
