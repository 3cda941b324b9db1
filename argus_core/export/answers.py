"""What a head's output says, as tensors of whole batches: ``decode`` goes image by image, which no graph can."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from argus_core.border import repeat_border
from argus_core.depth_bins import BinLogits, bin_spread, decode_bins
from argus_core.detection.dense import DenseHead, DenseOutput
from argus_core.errors import ArgusError
from argus_core.export.detections import decode
from argus_core.head import Head
from argus_core.tasks.classify import Classify
from argus_core.tasks.depth import Depth
from argus_core.tasks.described import DescriptorMaps
from argus_core.tasks.segment_loss import DenseLogits


def answers(head: Head, output: Any, size: tuple[int, int]) -> dict[str, Tensor]:
    """Named tensors (B, ...) that hold what ``head.decode(output, size)`` says of each image.

    Raises ArgusError for an output of a kind that is not known.
    """
    task = head.task
    if isinstance(task, Classify) and isinstance(output, Tensor):
        # One image whose every score is a vector over the batch: a loop over images would freeze their number.
        return {"scores": head.decode(output.T[None], size)[0].scores.T}
    if isinstance(output, DenseLogits):
        return {"logits": output.filled()}
    if isinstance(task, Depth) and isinstance(output, BinLogits):
        depth = decode_bins(output.logits, task.low, task.high)
        both = torch.stack([depth, bin_spread(output.logits, depth, task.low, task.high)], dim=1)
        depth, spread = repeat_border(both, output.stride, output.extent).unbind(1)
        return {"depth": depth, "spread": spread}
    if isinstance(head, DenseHead) and isinstance(output, DenseOutput):
        return decode(output, head.decoding)
    if isinstance(output, DescriptorMaps):
        return {"descriptors": output.maps.float()}
    raise ArgusError(
        f"head {head.name!r} answers {task.name!r} with {type(output).__name__}, which cannot be exported; leave it out"
    )


def stride_of(output: Any) -> int | None:
    """Canvas pixels of a cell of a dense answer; None of one that is not dense."""
    return output.stride if isinstance(output, DenseLogits | BinLogits | DescriptorMaps) else None
