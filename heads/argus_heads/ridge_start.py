"""Where the training of a normalised linear layer starts from a solution in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from argus_core.nn import MaskedBatchNorm2d, Moments


@torch.no_grad()
def start_from(norm: MaskedBatchNorm2d, layer: nn.Conv2d, moments: Moments, weights: Tensor) -> None:
    """Let ``layer`` behind ``norm`` give what linear ``weights`` (C + 1, q), intercepts last, give without the norm.

    The running statistics of the norm become those of the first C coordinates of ``moments``, the affine part of it
    does nothing: in eval mode the outputs are those of the weights, and in training nearly so.
    """
    assert norm.running_mean is not None and norm.running_var is not None and layer.bias is not None
    inputs = len(weights) - 1
    norm.reset_parameters()
    norm.running_mean.copy_(moments.mean[:inputs])
    norm.running_var.copy_(moments.scatter.diagonal()[:inputs] / max(moments.count - 1, 1))
    deviations = (norm.running_var.double() + norm.eps).sqrt()
    layer.weight.copy_((weights[:-1].to(deviations) * deviations[:, None]).T[:, :, None, None])
    layer.bias.copy_(weights[-1] + moments.mean[:inputs] @ weights[:-1])
