"""The frozen backbone: pixels in, raw tokens out, with the same interface for every network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.backbones.tiles import Tap, encode_tiles
from argus_core.backbones.weights import rope_periods
from argus_core.canvas import Placement, Tiles
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.nn import computes_bf16, without_tf32
from argus_core.tokens import FeatureInfo, FinalNorm, Needs, PlacedTokens, Tokens, cell_mask

Precision = Literal["auto", "bf16", "fp32"]
"""``fp32``; ``auto``, bf16 on GPUs that support it; or ``bf16`` anywhere, such as on a CPU with matrix units for it."""
Triple = tuple[float, float, float]
Rendered = tuple[npt.NDArray[np.uint8], Placement]
"""A canvas (H, W, 3) of RGB bytes, and where the image lies on it."""


class Backbone(nn.Module):
    """A network that never trains: always in eval mode and without gradients.

    ``model`` must have timm's ``forward_intermediates``. ``weights_sha256`` covers every tensor that affects the
    output, ``license`` identifies the terms of the weights. ``precision`` "auto" means bf16 autocast on GPUs that
    support it, "bf16" asks for it on any device; "fp32" is plain float32, without TF32. ``options`` are those of the
    factory, besides the weights, and ``file`` is where these came from if it was not the factory's choice.
    ``rounded_from`` is the sha256 that weights had before they were rounded for storage.
    """

    def __init__(
        self,
        model: nn.Module,
        info: FeatureInfo,
        *,
        name: str,
        mean: Triple,
        std: Triple,
        license: str,
        precision: Precision = "auto",
    ) -> None:
        super().__init__()
        self.training = False
        if precision not in get_args(Precision):
            raise ArgusError(f"precision {precision!r} is not one of {', '.join(get_args(Precision))}")
        self.model = model.eval().requires_grad_(False)
        self.info, self.name, self.mean, self.std = info, name, mean, std
        self.license, self._asked = license, precision
        self.options: dict[str, Any] = {}
        self.file: Path | None = None
        self.rounded_from: str | None = None
        self._periods = {key: value.clone() for key, value in rope_periods(model).items()}
        self.weights_sha256 = tensors_sha256({**model.state_dict(), **self._periods})
        self._compiled: Callable[..., Any] | None = None

    @property
    def _network(self) -> Callable[..., Any]:
        return cast(Callable[..., Any], self.model.forward_intermediates)

    @property
    def precision(self) -> str:
        """The precision on the current device: ``bf16`` or ``fp32``."""
        low = self._asked == "bf16" or (self._asked == "auto" and computes_bf16(self.device))
        return "bf16" if low else "fp32"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    @property
    def norm(self) -> FinalNorm | None:
        """The final LayerNorm, for all layers of a plain transformer, else for the last; None if there is none."""
        layer = final_norm(self.model)
        if layer is None:
            return None
        weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight.detach().float()
        bias = torch.zeros_like(weight) if layer.bias is None else layer.bias.detach().float()
        plain = len({*zip(self.info.channels, self.info.strides, strict=True)}) == 1
        depth = self.info.depth
        return FinalNorm(weight, bias, layer.eps, tuple(range(depth)) if plain else (depth - 1,))

    def train(self, mode: bool = True) -> Backbone:
        """Do nothing: a parent's ``train()`` must not enable batch statistics, dropout or position noise."""
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run the network through ``torch.compile`` from now on, with these arguments."""
        self._compiled = torch.compile(self._network, *args, **kwargs)

    def encode(self, canvases: Tensor, extent: Tensor, needs: Needs, tiles: Tiles | None = None) -> Tokens:
        """Tokens of RGB bytes (B, H, W, 3) whose images end at ``extent`` (B, 2: height, width).

        Computed on the device of the weights. Padding becomes zero after normalisation, whatever bytes it holds.
        """
        if canvases.dtype != torch.uint8 or canvases.ndim != 4 or canvases.shape[-1] != 3:
            raise ArgusError(
                f"canvases must be uint8 (B, H, W, 3), not {canvases.dtype} {tuple(canvases.shape)}; "
                "give normalised float images to forward instead"
            )
        bytes_ = canvases.to(self.device, non_blocking=True).permute(0, 3, 1, 2)  # (B, 3, H, W)
        return self(bytes_, needs, extent.to(self.device), tiles)

    @torch.no_grad()
    def forward(self, images: Tensor, needs: Needs, extent: Tensor | None = None, tiles: Tiles | None = None) -> Tokens:
        """Raw float32 tokens of normalised (B, 3, H, W) images; without ``extent`` there is no padding.

        Images larger than one of ``tiles`` are encoded by tiles, see ``backbones.tiles``; uint8 images are normalised.
        Raises ArgusError unless H and W are multiples of the largest stride of the needed layers, see ``fit_to_grid``,
        and with tiles of that of all layers.
        """
        needs = needs.resolve(self.info)
        layers = sorted(set(needs.layers))
        size = (images.shape[-2], images.shape[-1])
        cut = tiles is not None and tiles.cut(size)
        check_grid(size, max(self.info.strides if cut else (self.info.strides[layer] for layer in layers)))
        if extent is None:
            extent = torch.tensor(size, device=images.device).expand(len(images), 2)

        def run(images: Tensor, extent: Tensor) -> list[Tap]:
            return self._taps(self._normalised(images, extent), layers)

        taps = encode_tiles(run, images, extent, tiles, self.info, layers) if cut and tiles else run(images, extent)
        maps, prefix = {}, {}
        for layer, (tap, extra) in zip(layers, taps, strict=True):
            mask = cell_mask(extent, self.info.strides[layer], (tap.shape[2], tap.shape[3]))
            maps[layer] = torch.where(mask, tap.float(), 0.0)  # (B, C, h, w)
            prefix[layer] = self._prefix(maps[layer], mask, extra)  # (B, P, C)
        return Tokens(maps if needs.maps else {}, prefix if needs.cls else {}, extent, size, self.info, self.norm)

    def _normalised(self, images: Tensor, extent: Tensor) -> Tensor:
        """RGB bytes (B, 3, H, W) as the network takes them, zero in padding; floats are returned as they are."""
        if images.dtype != torch.uint8:
            return images
        # Of tiles as of whole canvases: in this order of memory, so that both give equal bits.
        pixels = images.permute(0, 2, 3, 1).contiguous().float() / 255  # (B, H, W, 3)
        mean, std = (torch.tensor(values, device=images.device) for values in (self.mean, self.std))
        inside = cell_mask(extent, 1, (images.shape[2], images.shape[3]))
        return ((pixels - mean) / std).permute(0, 3, 1, 2).masked_fill(~inside, 0.0)

    def _taps(self, images: Tensor, layers: Sequence[int]) -> list[Tap]:
        """The output (B, C, h, w) of each layer, and of transformers the tokens before the patches (B, P, C)."""
        weight = next(self.model.parameters())
        run = self._compiled or self._network
        low = self.precision == "bf16"
        exact = nullcontext() if low else without_tf32(weight.device)
        with exact, torch.autocast(weight.device.type, torch.bfloat16, enabled=low):
            # Convolutions take 0.74 to 0.82 of the time in this order of memory; other networks give the same bits.
            images = images.to(weight.dtype, memory_format=torch.channels_last)
            taps = run(images, indices=list(layers), **self._call_options())
        size = (images.shape[-2], images.shape[-1])
        pairs = [tap if isinstance(tap, tuple) else (tap, None) for tap in taps]
        return [(self._as_map(tap, size, layer), extra) for layer, (tap, extra) in zip(layers, pairs, strict=True)]

    def _call_options(self) -> dict[str, Any]:
        parameters = inspect.signature(self._network).parameters
        options = {
            "norm": False,
            "stop_early": True,
            "intermediates_only": True,
            "output_fmt": "NLC" if "return_prefix_tokens" in parameters else "NCHW",
            "return_prefix_tokens": bool(getattr(self.model, "num_prefix_tokens", 0)),
        }
        return {key: value for key, value in options.items() if key in parameters}

    def _as_map(self, tap: Tensor, size: tuple[int, int], layer: int) -> Tensor:
        """(B, N, C) or (B, C, h, w) to (B, C, h, w); tokens become a channels-last view."""
        rows, cols = self.info.grid(size, layer)
        shape = (len(tap), self.info.channels[layer], rows, cols)
        out = tap.unflatten(1, (rows, cols)).permute(0, 3, 1, 2) if tap.ndim == 3 else tap
        if out.shape != shape:
            raise ArgusError(f"{self.name} gave layer {layer} as {tuple(out.shape)}, announced was {shape}")
        return out

    def _prefix(self, tap: Tensor, mask: Tensor, extra: Tensor | None) -> Tensor:
        """(B, P, C) with CLS first; of networks without CLS the mean over image cells."""
        if extra is not None and extra.shape[1] == self.info.prefix:
            return extra.float()
        mean = (tap.sum((2, 3)) / mask.sum((2, 3)).clamp(min=1))[:, None]  # (B, 1, C)
        return mean if extra is None else torch.cat([mean, extra.float()], dim=1)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Backbone:
        super()._apply(fn, recurse)
        # timm recomputes RoPE periods when the dtype changes, but official files may hold rounded ones.
        for key, live in rope_periods(self.model).items():
            owner = self.model.get_submodule(key.rpartition(".")[0])
            owner.periods = self._periods[key].to(live.device)
        return self


def encode_rendered(
    backbone: Backbone, rendered: Sequence[Rendered], needs: Needs, tiles: Tiles | None = None
) -> PlacedTokens:
    """The tokens of images that were rendered on canvases of one size, from one pass of the backbone, or by tiles."""
    canvases, placements = zip(*rendered, strict=True)
    extent = torch.tensor([placement.extent for placement in placements])
    return PlacedTokens(backbone.encode(torch.from_numpy(np.stack(canvases)), extent, needs, tiles), placements)


def check_grid(size: tuple[int, int], multiple: int) -> None:
    """Raise ArgusError, with the nearest valid sizes, unless ``size`` divides into cells of ``multiple`` px."""
    if all(n > 0 and n % multiple == 0 for n in size):
        return
    low = " x ".join(str(max(n // multiple, 1) * multiple) for n in size)
    high = " x ".join(str(max(-(-n // multiple), 1) * multiple) for n in size)
    nearest = " or ".join(dict.fromkeys((low, high)))
    raise ArgusError(
        f"an input of {size[0]} x {size[1]} px (height x width) does not divide into {multiple} px cells; use {nearest}"
    )


def fit_to_grid(images: Tensor, multiple: int, how: Literal["crop", "pad"]) -> Tensor:
    """Crop or zero-pad (B, C, H, W) at the bottom and right to multiples of ``multiple`` px."""
    height, width = images.shape[-2:]
    if how == "pad":
        return F.pad(images, (0, -width % multiple, 0, -height % multiple))
    if how != "crop":
        raise ArgusError(f"how {how!r} is not one of crop, pad")
    if min(height, width) < multiple:
        raise ArgusError(f"cropping {height} x {width} px to multiples of {multiple} leaves nothing; use 'pad'")
    return images[..., : height - height % multiple, : width - width % multiple]


def final_norm(model: nn.Module) -> nn.LayerNorm | None:
    """The LayerNorm behind a network's last layer, if it has one."""
    for owner in (model, getattr(model, "head", None)):
        layer = getattr(owner, "norm", None)
        if isinstance(layer, nn.LayerNorm):
            return layer
    return None
