"""Raw tokens of a backbone, and the view of them that a head reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor

from argus_core.errors import ArgusError


@dataclass(frozen=True)
class Needs:
    """Which layers a head reads; ``a | b`` is what a backbone must give to serve both.

    ``layers`` are 0-based block (ViT) or stage (ConvNet) outputs, negative ones count from the last.
    ``norm`` applies the backbone's final norm to the layers it is defined for.
    """

    layers: tuple[int, ...] = (-1,)
    norm: bool = True
    maps: bool = True
    cls: bool = False

    def resolve(self, info: FeatureInfo) -> Needs:
        """The same needs with layers counted from the first; raises ArgusError for a layer that does not exist."""
        for layer in self.layers:
            if not -info.depth <= layer < info.depth:
                raise ArgusError(
                    f"layer {layer} does not exist: the backbone has {info.depth} "
                    f"(0 to {info.depth - 1}, or -{info.depth} to -1)"
                )
        return replace(self, layers=tuple(layer % info.depth for layer in self.layers))

    def __or__(self, other: Needs) -> Needs:
        layers = tuple(sorted({*self.layers, *other.layers}))
        return Needs(layers, self.norm or other.norm, self.maps or other.maps, self.cls or other.cls)


@dataclass(frozen=True)
class FeatureInfo:
    """Channels, and stride in pixels, of each layer of a backbone.

    ``prefix`` counts the tokens before the patches, CLS first; a backbone without any gives its mean as CLS. Dense
    heads choose their default layers from the first ``stages``, by default all; a layer behind these, widened for the
    classifier, is read for CLS or if it is requested.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    prefix: int = 1
    stages: int | None = None

    @classmethod
    def vit(cls, channels: int, stride: int = 16, depth: int = 12, prefix: int = 5) -> FeatureInfo:
        """The info of a plain transformer: every block alike."""
        return cls((channels,) * depth, (stride,) * depth, prefix)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.channels)

    def grid(self, size: tuple[int, int], layer: int) -> tuple[int, int]:
        """Rows and columns of ``layer`` for an input of ``size`` pixels (height, width)."""
        stride = self.strides[layer]
        return -(-size[0] // stride), -(-size[1] // stride)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values; ``FeatureInfo.from_dict`` is the inverse."""
        values: dict[str, object] = _FEATURE_INFO.dump_python(self, mode="json", exclude_none=True)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> FeatureInfo:
        """Rebuild from ``to_dict``."""
        return _FEATURE_INFO.validate_python(values)


_FEATURE_INFO = TypeAdapter(FeatureInfo)


@dataclass(frozen=True)
class FinalNorm:
    """The backbone's last LayerNorm over channels. It is not applied to cached tokens, so a cache serves all heads."""

    weight: Tensor
    bias: Tensor
    eps: float
    layers: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise (..., C) tokens."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def to(self, device: torch.device | str) -> FinalNorm:
        """The same norm on ``device``."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))


@dataclass(frozen=True)
class Features:
    """One head's view of a batch: float32 maps and CLS vectors in the order of its own ``needs.layers``.

    ``maps[i]`` is (B, C_i, h_i, w_i), zero where ``extent`` (B, 2: height, width in canvas pixels) says padding.
    ``cls[i]`` is (B, C_i). ``size`` is the canvas in pixels (height, width).
    """

    maps: tuple[Tensor, ...]
    cls: tuple[Tensor, ...]
    extent: Tensor
    size: tuple[int, int]

    @property
    def map(self) -> Tensor:
        """The last map, for heads that read one."""
        return self.maps[-1]


@dataclass(frozen=True)
class Tokens:
    """A batch of raw layer outputs, before the final norm, live or cached.

    ``maps[layer]`` is (B, C, h, w) and zero in cells without image; ``prefix[layer]`` is (B, P, C), CLS first, and of a
    cache CLS alone.
    """

    maps: Mapping[int, Tensor]
    prefix: Mapping[int, Tensor]
    extent: Tensor
    size: tuple[int, int]
    info: FeatureInfo
    norm: FinalNorm | None = None

    def __len__(self) -> int:
        return len(self.extent)

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on ``device``."""
        return replace(
            self,
            maps={k: v.to(device, non_blocking=True) for k, v in self.maps.items()},
            prefix={k: v.to(device, non_blocking=True) for k, v in self.prefix.items()},
            extent=self.extent.to(device),
            norm=self.norm and self.norm.to(device),
        )

    def __getitem__(self, items: slice | Sequence[int]) -> Tokens:
        """The tokens of some images of the batch."""
        return replace(
            self,
            maps={k: v[items] for k, v in self.maps.items()},
            prefix={k: v[items] for k, v in self.prefix.items()},
            extent=self.extent[items],
        )

    def features(self, needs: Needs) -> Features:
        """The view for ``needs``; raises ArgusError if a needed layer was not computed or cached."""
        needs = needs.resolve(self.info)
        for tensors, needed, what in ((self.maps, needs.maps, "maps"), (self.prefix, needs.cls, "CLS tokens")):
            missing = [layer for layer in needs.layers if needed and layer not in tensors]
            if missing:
                raise ArgusError(f"the tokens lack the {what} of layers {missing}; they hold {sorted(tensors)}")
        return Features(
            tuple(self._map(layer, needs.norm) for layer in needs.layers) if needs.maps else (),
            tuple(self._cls(layer, needs.norm) for layer in needs.layers) if needs.cls else (),
            self.extent,
            self.size,
        )

    def _normed(self, x: Tensor, layer: int, norm: bool) -> Tensor:
        return self.norm(x) if norm and self.norm is not None and layer in self.norm.layers else x

    def _map(self, layer: int, norm: bool) -> Tensor:
        raw = self.maps[layer].float()  # (B, C, h, w)
        out = self._normed(raw.permute(0, 2, 3, 1), layer, norm).permute(0, 3, 1, 2)
        if out.data_ptr() == raw.data_ptr():
            return out.clone()  # other heads read the same tokens, and a head may write into its own
        # The bias of the norm made padding cells non-zero.
        return out * cell_mask(self.extent, self.info.strides[layer], (raw.shape[2], raw.shape[3]))

    def _cls(self, layer: int, norm: bool) -> Tensor:
        return self._normed(self.prefix[layer][:, 0].float(), layer, norm).clone()


def cell_mask(extent: Tensor, stride: int, grid: tuple[int, int]) -> Tensor:
    """(B, 1, h, w) bool: which cells of a grid of ``stride`` px hold at least one pixel of image."""
    rows = torch.arange(grid[0], device=extent.device) * stride < extent[:, :1]
    cols = torch.arange(grid[1], device=extent.device) * stride < extent[:, 1:]
    return (rows[:, :, None] & cols[:, None, :])[:, None]
