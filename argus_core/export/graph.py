"""The modules that are traced: pixels to tokens, tokens to the answers of a head, and both in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.backbones import Backbone
from argus_core.detection import DenseHead, DenseOutput
from argus_core.errors import ArgusError
from argus_core.export.detections import decode
from argus_core.head import Head
from argus_core.nn import BinLogits, LogDepth
from argus_core.nn.regions import region_means
from argus_core.tasks import Calibration, Task
from argus_core.tasks.classify import Classify
from argus_core.tasks.correspond import DescriptorMaps
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import DenseLogits, Segment
from argus_core.tokens import FeatureInfo, Features, FinalNorm, Needs, Tokens, cell_mask


def answers(head: Head, output: Any, size: tuple[int, int]) -> dict[str, Tensor]:
    """The contents of ``head.decode(output, size)`` as tensors (B, ...) by name, with calibrated confidences.

    Raises ArgusError for an output of an unknown type.
    """
    found = _decoded(head, output, size)
    return found if head.calibration is None else _calibrated(head.task, found, head.calibration)


def _decoded(head: Head, output: Any, size: tuple[int, int]) -> dict[str, Tensor]:
    task = head.task
    if isinstance(task, Classify) and isinstance(output, Tensor):
        # One image whose every score is a vector over the batch: a loop over images would freeze their number.
        return {"scores": head.decode(output.T[None], size)[0].scores.T}
    if isinstance(output, DenseLogits):
        return {"logits": output.filled()}
    if isinstance(task, Depth) and isinstance(output, BinLogits | LogDepth):
        depth, spread = output.metres(task.low, task.high).unbind(1)
        return {"depth": depth, "spread": spread}
    if isinstance(head, DenseHead) and isinstance(output, DenseOutput):
        return decode(output, head.decoding)
    if isinstance(output, DescriptorMaps):
        return {"descriptors": output.maps.float()}
    raise ArgusError(
        f"head {head.name!r} answers {task.name!r} with {type(output).__name__}, which cannot be exported; leave it out"
    )


def _calibrated(task: Task, found: dict[str, Tensor], calibration: Calibration) -> dict[str, Tensor]:
    if isinstance(task, Classify):
        return {"scores": calibration.classes(found["scores"], dim=1)}
    if isinstance(task, Segment):
        return {"logits": calibration.logits(found["logits"])}
    if isinstance(task, Detect):
        return {**found, "scores": torch.where(found["labels"] >= 0, calibration.scores(found["scores"]), 0.0)}
    return found


def stride_of(output: Any) -> int | None:
    """Canvas pixels of a cell of a dense answer; None if it is not dense."""
    return output.stride if isinstance(output, DenseLogits | BinLogits | LogDepth | DescriptorMaps) else None


FAR = 1 << 30
"""More pixels than any canvas has."""


class Encode(nn.Module):
    """A backbone as a graph: RGB bytes to the raw tokens that ``needs`` asks for."""

    def __init__(self, backbone: Backbone, needs: Needs) -> None:
        super().__init__()
        self.backbone, self.needs = backbone, needs.resolve(backbone.info)

    def forward(self, images: Tensor, extent: Tensor) -> dict[str, Tensor]:
        """``map_L`` (B, C, h, w) and ``prefix_L`` (B, P, C) of each layer L, and ``ends`` (B, 2): where images end.

        ``images`` are RGB bytes (B, 3, H, W); ``extent`` (B, 2) says where they end (height, width), 0 for the canvas.
        """
        limits = torch.where(extent > 0, extent, FAR)
        ends = [limits[:, axis].clamp(max=images.shape[2 + axis]) for axis in (0, 1)]
        tokens = self.backbone.encode(images.permute(0, 2, 3, 1), torch.stack(ends, dim=1), self.needs)
        maps = {f"map_{layer}": tokens.maps[layer] for layer in tokens.maps}
        prefix = {f"prefix_{layer}": tokens.prefix[layer] for layer in tokens.prefix}
        return {**maps, **prefix, "ends": tokens.extent}


class Reader(nn.Module):
    """What reads tokens by the names that ``Encode`` gives them.

    They are raw, so the backbone's final ``norm`` is part of it.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, info: FeatureInfo, norm: FinalNorm | None) -> None:
        super().__init__()
        self.info, self.norm = info, norm
        self.register_buffer("weight", norm.weight.clone() if norm else torch.zeros(0))
        self.register_buffer("bias", norm.bias.clone() if norm else torch.zeros(0))

    def read(self, tokens: Mapping[str, Tensor], needs: Needs) -> Features:
        """The features for ``needs``."""
        layers = needs.resolve(self.info).layers
        maps = {layer: tokens[f"map_{layer}"] for layer in layers if needs.maps}
        prefix = {layer: tokens[f"prefix_{layer}"] for layer in layers if needs.cls}
        # What reads no map has no use for where images end: neither input exists then.
        extent = tokens["ends"] if maps else torch.zeros(1, 2)
        stride = self.info.strides[layers[0]]
        size = (maps[layers[0]].shape[2] * stride, maps[layers[0]].shape[3] * stride) if maps else (0, 0)
        norm = replace(self.norm, weight=self.weight, bias=self.bias) if self.norm else None
        return _Traced(maps, prefix, extent, size, self.info, norm).features(needs)


class Answer(Reader):
    """A head as a graph: the tokens it needs to its answers; a detector also gives vectors, of layer ``objects``."""

    def __init__(self, head: Head, norm: FinalNorm | None, objects: int | None = None) -> None:
        super().__init__(head.info, norm)
        self.head, self.objects = head, objects if isinstance(head.task, Detect) else None
        self.needs = head.needs.resolve(head.info)

    @property
    def inputs(self) -> list[str]:
        """The names of the tokens that are read."""
        layers = dict.fromkeys(self.needs.layers)
        maps = [f"map_{layer}" for layer in layers if self.needs.maps]
        if self.objects is not None:
            maps = [*dict.fromkeys([*maps, f"map_{self.objects}"])]
        prefix = [f"prefix_{layer}" for layer in layers if self.needs.cls]
        return [*maps, *prefix, *(["ends"] if maps else [])]

    def forward(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The head's answers by name, in canvas pixels."""
        features = self.view(tokens)
        found = answers(self.head, self.head(features), features.size)
        if self.objects is None:
            return found
        means = box_vectors(self.read(tokens, Needs((self.objects,))), found["boxes"], self.info.strides[self.objects])
        return {**found, "embeddings": torch.where(found["labels"][..., None] >= 0, means, 0.0)}

    def view(self, tokens: Mapping[str, Tensor]) -> Features:
        """The features that the head reads."""
        return self.read(tokens, self.head.needs)


class Image(Reader):
    """The vector of the whole image, CLS of ``layer``, as a graph."""

    def __init__(self, info: FeatureInfo, norm: FinalNorm | None, layer: int) -> None:
        super().__init__(info, norm)
        self.layer = layer

    def forward(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``embedding`` (B, C) of length 1."""
        features = self.read(tokens, Needs((self.layer,), maps=False, cls=True))
        return {"embedding": F.normalize(features.cls[0], dim=-1)}


def box_vectors(features: Features, boxes: Tensor, stride: int) -> Tensor:
    """(B, N, C) of length 1: the mean of the features' map, of cells of ``stride`` px, over boxes (B, N, 4)."""
    return F.normalize(region_means(features.map, boxes, stride, features.extent), dim=-1)


class Whole(nn.Module):
    """All heads over one pass of the backbone."""

    def __init__(self, encode: Encode, heads: Mapping[str, Reader]) -> None:
        super().__init__()
        self.encode, self.heads = encode, nn.ModuleDict(heads)

    def forward(self, images: Tensor, extent: Tensor) -> dict[str, Tensor]:
        """``HEAD_ANSWER`` for every answer of every head; inputs as in ``Encode``."""
        tokens = self.encode(images, extent)
        return {f"{name}_{key}": value for name, head in self.heads.items() for key, value in head(tokens).items()}


@dataclass(frozen=True)
class _Traced(Tokens):
    """Tokens without the copies that protect heads from each other: copying looks at the layout in memory."""

    def _map(self, layer: int, norm: bool) -> Tensor:
        raw = self.maps[layer]
        out = self._normed(raw.permute(0, 2, 3, 1), layer, norm).permute(0, 3, 1, 2)
        return out * cell_mask(self.extent, self.info.strides[layer], (raw.shape[2], raw.shape[3]))
