"""Whether there is memory for a large canvas."""

from __future__ import annotations

import math

import torch

from argus_core.canvas.large import LargeCanvas
from argus_core.common.device import free_memory
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, Needs

HEADS = 20
"""Peak memory of heads by that of the tokens they read: 16 with `segment.dpt` and `depth.dpt` on `lite2`."""
SPARE = 1.1
"""By how much the tiles that are advised are larger than those that would just do."""


def check_room(canvas: LargeCanvas, needs: Needs, info: FeatureInfo, device: torch.device) -> None:
    """Raise ArgusError, with the tiles that would do, for a canvas whose tokens and answers do not fit into memory."""
    layers = set(needs.resolve(info).layers) if needs.maps else set()
    tokens = 4 * sum(info.channels[layer] / info.strides[layer] ** 2 for layer in layers)  # bytes per pixel
    needed, free = canvas.height * canvas.width * (3 + tokens * (1 + HEADS)), free_memory(device)
    if needed <= free or canvas.tiles is None:
        return
    least = math.ceil(max(canvas.tiles.size) / canvas.scale * math.sqrt(needed / free) * SPARE / 10) * 10
    raise ArgusError(
        f"at this scale the image is a canvas of {canvas.width}x{canvas.height} px (width x height), whose tokens and "
        f"answers take about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on {device}; "
        f"shrink it with tiles of {least} px (--tiles {least}), or ask fewer heads"
    )
