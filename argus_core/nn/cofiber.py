"""The cofiber decomposition: a map as detail bands, each half as fine as the last, and a low-pass remainder.

A Laplacian pyramid (Burt & Adelson 1983) with a 2 x 2 box analysis filter. It is linear, has no parameters,
and is redundant: four bands hold 1.33 times the values of the map, so not every tuple of bands is one map's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError

Mode = Literal["bilinear", "nearest"]
"""How a coarse map is enlarged."""


def decompose(x: Tensor, bands: int = 4, mode: Mode = "bilinear") -> list[Tensor]:
    """Split (B, C, H, W) into ``bands`` maps of ceil(H / 2**k) x ceil(W / 2**k), the last one the remainder.

    Details of a constant are zero but for rounding; so are those of a linear ramp, away from the border.
    With ``nearest``, on grids that halve evenly, the bands lifted to the first grid are orthogonal and their
    energies add up; with ``bilinear`` neighbouring bands correlate (cosines of 0.2 on white noise and 0.7 on
    1/f**2 spectra). Band k commutes with shifts by multiples of 2**(k + 1) cells (the remainder: 2**k) and no
    finer ones, and with mirroring only while every pooled width is even. Float64 stays float64; anything else
    is computed in float32 and rounded once, to the dtype of ``x``.
    """
    if bands < 1:
        raise ArgusError(f"a decomposition into {bands} bands does not exist; ask for at least 1")
    fine, out = _precise(x), []
    for _ in range(bands - 1):
        coarse = F.avg_pool2d(fine, 2, ceil_mode=True)  # (B, C, ceil(H/2), ceil(W/2))
        out.append((fine - upsample2(coarse, _grid(fine), mode)).to(x.dtype))
        fine = coarse
    return [*out, fine.to(x.dtype)]


def synthesize(bands: Sequence[Tensor], mode: Mode = "bilinear") -> Tensor:
    """The (B, C, H, W) map whose ``decompose`` in the same ``mode`` gave ``bands``.

    Exact but for rounding: 1e-6 of the largest value in float32, 2e-3 in float16, 2e-2 in bfloat16.
    """
    out = _precise(bands[-1])
    for band in reversed(bands[:-1]):
        out = _precise(band) + upsample2(out, _grid(band), mode)
    return out.to(bands[0].dtype)


def upsample2(x: Tensor, size: tuple[int, int], mode: Mode = "bilinear") -> Tensor:
    """Double (B, C, h, w) about half-pixel centres and keep the top left ``size`` (height, width).

    Resizing to an odd ``size`` instead would let the phase drift, and ramps would leak into the details.
    """
    if mode not in ("bilinear", "nearest"):
        raise ArgusError(f"upsampling mode {mode!r} is not one of bilinear, nearest")
    return F.interpolate(x, scale_factor=2, mode=mode)[..., : size[0], : size[1]]


def _precise(x: Tensor) -> Tensor:
    # Features carry a large mean, which half precision would take from the details. Nothing here is autocast.
    return x if x.dtype == torch.float64 else x.float()


def _grid(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
