"""The network that learns: any architecture of timm, whose last tokens are read as a frozen backbone's will be."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_arena.distill.losses import Answer
from argus_core.backbones.base import Triple, final_norm
from argus_core.tokens import FeatureInfo


class Student(nn.Module):
    """A timm network in training; ``forward`` gives its last layer behind the final norm, with gradients.

    The same numbers as a ``Backbone`` of the same weights gives for ``Needs(norm=True, cls=True)``: CLS is the class
    token, or the mean of the patches where there is none, and both pass the final norm where the network has one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, info: FeatureInfo, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.model, self.info, self.normal = model, info, (mean, std)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self._call: Any = model.forward_intermediates
        self._options = _call_options(model)

    @property
    def channels(self) -> int:
        """Channels of the last layer."""
        return self.info.channels[-1]

    def grid(self, size: int) -> tuple[int, int]:
        """Rows and columns of the patches of a square image of ``size`` pixels."""
        return self.info.grid((size, size), -1)

    def forward(self, images: Tensor) -> Answer:
        """CLS (B, C) and patches (B, C, h, w) of RGB bytes (B, 3, H, W)."""
        (tap,) = self._call((images / 255 - self.mean) / self.std, indices=[self.info.depth - 1], **self._options)
        patches, prefix = tap if isinstance(tap, tuple) else (tap, None)
        grid = self.info.grid((images.shape[-2], images.shape[-1]), -1)
        vectors = patches if patches.ndim == 3 else patches.flatten(2).transpose(1, 2)  # (B, N, C)
        has_cls = prefix is not None and prefix.shape[1] == self.info.prefix
        cls = prefix[:, 0] if has_cls else vectors.mean(1)
        return Answer(self._normed(cls), self._normed(vectors).transpose(1, 2).unflatten(2, grid))

    def _normed(self, x: Tensor) -> Tensor:
        """Vectors (..., C) behind the final norm, which some networks have for maps (B, C, h, w) alone."""
        norm = final_norm(self.model)
        return x if norm is None else F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _call_options(model: Any) -> dict[str, Any]:
    parameters = inspect.signature(model.forward_intermediates).parameters
    wanted = {
        "norm": False,
        "intermediates_only": True,
        "output_fmt": "NLC" if "return_prefix_tokens" in parameters else "NCHW",
        "return_prefix_tokens": bool(getattr(model, "num_prefix_tokens", 0)),
    }
    return {key: value for key, value in wanted.items() if key in parameters}
