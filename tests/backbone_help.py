"""Random weights and inputs for the tests of backbones."""

from __future__ import annotations

import timm
import torch
from safetensors.torch import save_file


def randomise(model):
    """Fill every parameter and statistic, so that no part of the network is close to doing nothing."""
    generator = torch.Generator().manual_seed(7)
    for name, value in sorted(model.state_dict().items()):
        noise = torch.rand(value.shape, generator=generator) * 2 - 1
        if "gamma" in name or name.endswith("running_var"):
            value.copy_(0.5 + 0.1 * noise)
        elif value.ndim < 2:
            value.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * noise)
        else:
            value.copy_(noise * (3.0 / value[0].numel()) ** 0.5)
    return model


def timm_file(path, name, **options):
    """A file of random weights in timm's names, classifier included."""
    model = randomise(timm.create_model(name, **{"num_classes": 10, **options}))
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if "num_batches" not in k}, path)
    return path


def canvases(batch, height, width):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, generator=generator)
