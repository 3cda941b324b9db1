"""Principal components of the tokens of a cache: fitted once, kept beside its manifest, which names their sha256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from argus_core.common.files import file_sha256
from argus_core.errors import ArgusError
from argus_core.nn import without_tf32


@dataclass(frozen=True)
class Basis:
    """Orthonormal ``components`` (K, C) of rows around their ``mean`` (C,), in float32; the one that varies most first.

    Which of two opposite directions a component has follows from its largest number, which is positive.
    """

    components: Tensor
    mean: Tensor

    @classmethod
    def of(cls, count: int, total: Tensor, products: Tensor, rows: int) -> Basis:
        """The first ``count`` components of so many rows, of which the sum (C,) and x'x (C, C) are given in float64."""
        mean = total / rows
        _, vectors = torch.linalg.eigh(products / rows - mean[:, None] * mean)
        components = vectors.flip(1).T[:count]
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        return cls((components * largest.sign()).float().contiguous(), mean.float())

    def to(self, device: torch.device) -> Basis:
        """The same on ``device``."""
        return Basis(self.components.to(device), self.mean.to(device))

    def project(self, rows: Tensor) -> Tensor:
        """The coefficients (N, K) of (N, C) rows."""
        with without_tf32(rows.device):
            return (rows - self.mean) @ self.components.T

    def matrix(self) -> Tensor:
        """(K + 1, C), which times coefficients and a 1 gives rows; zeros stay zeros."""
        return torch.cat([self.components, self.mean[None]])


Bases = Mapping[str, Basis]
"""Bases by the name of the stored tensor."""


def bases_bytes(bases: Bases) -> bytes:
    """The content of a file of bases."""
    tensors: dict[str, Tensor] = {}
    for name, basis in bases.items():
        tensors |= {f"components.{name}": basis.components, f"mean.{name}": basis.mean}
    return save(tensors)


def bases_path(path: Path, sha256: str) -> Path:
    """The file of the bases of the cache at ``path``; processes that fit others at the same time write other files."""
    return path / f"basis.{sha256[:16]}.safetensors"


def read_bases(path: Path, sha256: str) -> Bases:
    """The bases of the cache at ``path``; raises ArgusError if their file is missing or not the recorded one."""
    file = bases_path(path, sha256)
    if not file.exists() or file_sha256(file) != sha256:
        what = "damaged, its sha256 is not the recorded one" if file.exists() else "missing"
        raise ArgusError(
            f"{file}: {what}; without these components no token of this cache can be read; delete it and run the same "
            "caching again, which fits them again"
        )
    tensors = load(file.read_bytes())
    names = [name.removeprefix("mean.") for name in tensors if name.startswith("mean.")]
    return {name: Basis(tensors[f"components.{name}"], tensors[f"mean.{name}"]) for name in names}
